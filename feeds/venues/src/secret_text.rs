//! A secret as text: it is shown to nobody, and its memory is overwritten when it goes.
//!
//! What signs with a secret keeps a form of its own of it (`ring`'s keys, which are not
//! overwritten); what this type adds is that the text itself does not outlive its use, and that no
//! format, error, panic or log can hold it by accident.

use core::fmt;

use zeroize::Zeroizing;

/// A secret. It can be used and not shown: `Debug` hides it, there is no `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// `text` as a secret; its memory is taken over, not copied.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret, for who signs, compares or sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroize as _;

    #[test]
    fn it_is_not_shown() {
        let secret = SecretText::new("canary-in-a-mine".to_owned());
        for told in [format!("{secret:?}"), format!("{:#?}", Some(secret.clone()))] {
            assert!(told.contains("SecretText(..)") && !told.contains("canary"), "{told}");
        }
        assert_eq!(secret.expose(), "canary-in-a-mine");
    }

    /// What its end does to its memory, done to one that can still be looked at: the memory of one
    /// that is gone belongs to nobody.
    #[test]
    fn its_memory_is_overwritten() {
        const fn needs_an_end<T>() -> bool {
            core::mem::needs_drop::<T>()
        }
        const { assert!(needs_an_end::<SecretText>()) };
        let mut secret = SecretText::new("canary-in-a-mine".to_owned());
        secret.0.zeroize();
        assert_eq!(secret.expose(), "");
    }
}
