//! Text of request lines.

/// Appends `name` with every byte that a request line may not hold as `%XX`.
pub fn percent_encoded(name: &str, path: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            path.push(char::from(b));
        } else {
            path.push('%');
            path.push(char::from(HEX[usize::from(b >> 4)]));
            path.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_a_request_line_may_hold() {
        let mut path = String::from("/?a=");
        percent_encoded("BTC-usd_1.~ é/&", &mut path);
        assert_eq!(path, "/?a=BTC-usd_1.~%20%C3%A9%2F%26");
    }
}
