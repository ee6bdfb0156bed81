//! Keys that the service manager hands over, as in
//! `private_key = "$CREDENTIALS_DIRECTORY/NAME"`.
//!
//! A unit with `LoadCredential=NAME:FILE` (or `LoadCredentialEncrypted=`) finds the file in a
//! folder of its own, in memory that is never swapped, for as long as it runs. The key then lies
//! nowhere else that the engine's user could read it.

use std::path::{Component, Path, PathBuf};

/// Where the service manager says that the credentials are.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// What to do about a credential that is not there.
pub const MEND: &str = "write \"$CREDENTIALS_DIRECTORY/NAME\" and, in the unit, \
                        LoadCredential=NAME:FILE; outside of a unit write the path of the file";

/// The folder of the unit's credentials; none outside of such a unit.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from)
}

/// The file that `path` names in the `folder` of credentials; none where it is a plain path.
pub fn named_by(path: &Path, folder: Option<&Path>) -> Option<Result<PathBuf, String>> {
    let mut parts = path.components();
    let first = parts.next()?.as_os_str().to_str()?;
    if first != "$CREDENTIALS_DIRECTORY" && first != "${CREDENTIALS_DIRECTORY}" {
        return None;
    }
    let (name, rest) = (parts.next(), parts.next());
    Some(match (name, rest, folder) {
        (Some(Component::Normal(name)), None, Some(folder)) => Ok(folder.join(name)),
        (Some(Component::Normal(_)), None, None) => Err(format!(
            "${VARIABLE} is not set: this program was not started by a unit with credentials"
        )),
        _ => Err(format!("`{}` does not name one credential", path.display())),
    })
}

/// `path` is one of the unit's credentials.
#[must_use]
pub fn holds(path: &Path) -> bool {
    folder().is_some_and(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_of_the_units_folder() {
        let folder = Some(Path::new("/run/credentials/bot4.service"));
        let named = |path: &str, folder| named_by(Path::new(path), folder);
        let found = Path::new("/run/credentials/bot4.service/key.pem").to_owned();
        assert_eq!(named("$CREDENTIALS_DIRECTORY/key.pem", folder), Some(Ok(found.clone())));
        assert_eq!(named("${CREDENTIALS_DIRECTORY}/key.pem", folder), Some(Ok(found)));
        assert_eq!(named("key.pem", folder), None);
        assert_eq!(named("/etc/bot4/key.pem", None), None);
        let unset = named("$CREDENTIALS_DIRECTORY/key.pem", None).expect("a credential");
        assert!(unset.expect_err("no unit").contains("is not set"));
        for wrong in [
            "$CREDENTIALS_DIRECTORY",
            "$CREDENTIALS_DIRECTORY/../key",
            "$CREDENTIALS_DIRECTORY/a/b",
        ] {
            assert!(named(wrong, folder).expect("a credential").is_err(), "{wrong}");
        }
    }
}
