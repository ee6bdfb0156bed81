//! What a person may have written beside a key that names a secret is not shown: an error points at
//! the line, and errors end up in logs.

/// Parts of a key whose value is a secret, or names one.
const SECRET: [&str; 4] = ["secret", "pass", "token", "api_key"];

/// `text` with the values of secrets as asterisks. Every byte stays in its place.
#[must_use]
pub fn secrets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut in_key_block = false;
    for line in text.split_inclusive('\n') {
        in_key_block |= line.contains("-----BEGIN");
        let key = line.split_once('=').map(|(key, _)| key.trim().to_ascii_lowercase());
        let names_one = key.is_some_and(|key| SECRET.iter().any(|part| key.contains(part)));
        match (in_key_block, line.find('=')) {
            (true, _) => hide(&mut masked, line),
            (false, Some(at)) if names_one => {
                masked.push_str(&line[..=at]);
                hide(&mut masked, &line[at + 1..]);
            }
            _ => masked.push_str(line),
        }
        in_key_block &= !line.contains("-----END");
    }
    masked
}

/// The line's letters and digits as asterisks, one a byte; what holds a line of TOML together
/// stays.
fn hide(out: &mut String, line: &str) {
    for c in line.chars() {
        match c {
            ' ' | '\t' | '\r' | '\n' | '"' | '\'' => out.push(c),
            _ => (0..c.len_utf8()).for_each(|_| out.push('*')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_hidden_and_no_byte_moves() {
        let text = "name = \"kraken\" # é\napi_key = \"abc\"\nAPI_SECRET='s é'\nprivate_key = \"k\"\n\
                    x = \"\"\"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\"\"\"\n\
                    passphrase=\"p\"";
        let masked = secrets(text);
        assert_eq!(masked.len(), text.len());
        for gone in ["abc", "s é", "MC4C", "\"p\""] {
            assert!(!masked.contains(gone), "{gone} in {masked}");
        }
        for kept in ["name = \"kraken\" # é\n", "api_key = \"***\"", "private_key = \"k\""] {
            assert!(masked.contains(kept), "{kept} in {masked}");
        }
        assert_eq!(
            secrets(include_str!("../../../deploy/config/demo.toml")).lines().count(),
            include_str!("../../../deploy/config/demo.toml").lines().count()
        );
    }
}
