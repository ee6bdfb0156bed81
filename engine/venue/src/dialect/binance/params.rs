//! Parameters of a request: presence, type and characters, with the venue's own refusals.

use serde_json::{Map, Value};

use crate::decimal::{self, DecimalError};
use crate::error::ApiError;

/// A decimal parameter. Precision is judged later than syntax, so both states are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// In 10^-8.
    Exact(i64),
    /// More digits than the venue has.
    TooPrecise,
}

impl Amount {
    /// The value.
    ///
    /// # Errors
    /// -1111 with the parameter's name.
    pub fn exact(self, name: &str) -> Result<i64, ApiError> {
        match self {
            Self::Exact(value) => Ok(value),
            Self::TooPrecise => {
                Err(ApiError::new(-1111, &format!("Parameter '{name}' has too much precision.")))
            }
        }
    }
}

/// The `params` object of a request.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    map: &'a Map<String, Value>,
}

const LEGAL_DECIMAL: &str = r"^([0-9]{1,20})(\.[0-9]{1,20})?$";
const LEGAL_CLIENT_ID: &str = "^[a-zA-Z0-9-_]{1,36}$";

impl<'a> Params<'a> {
    /// Over this object.
    #[must_use]
    pub fn new(map: &'a Map<String, Value>) -> Self {
        Self { map }
    }

    /// Names that were sent.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// Was it sent?
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The value as sent.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name)
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// -1102.
    pub fn text(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text_if_sent(name)?.ok_or_else(|| ApiError::missing(name))
    }

    /// A text that may be there.
    ///
    /// # Errors
    /// -1102 if it is there and not a text, -1105 if empty.
    pub fn text_if_sent(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(ApiError::new(-1105, &format!("Parameter '{name}' was empty.")))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::missing(name)),
        }
    }

    /// A whole number that may be there; digits in a text count too.
    ///
    /// # Errors
    /// -1100.
    pub fn integer(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let value = match self.map.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        value.map(Some).ok_or_else(|| ApiError::illegal(name, "^[0-9]{1,20}$"))
    }

    /// A boolean that may be there.
    ///
    /// # Errors
    /// -1100.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.map.get(name) {
            None => Ok(None),
            Some(value) => {
                value.as_bool().map(Some).ok_or_else(|| ApiError::illegal(name, "^(true|false)$"))
            }
        }
    }

    /// A decimal that may be there.
    ///
    /// # Errors
    /// -1100 for anything but digits and one point.
    pub fn decimal(&self, name: &str) -> Result<Option<Amount>, ApiError> {
        let text = match self.map.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        match decimal::parse(&text) {
            Ok(value) => Ok(Some(Amount::Exact(value))),
            Err(DecimalError::Precision) => Ok(Some(Amount::TooPrecise)),
            Err(DecimalError::Syntax | DecimalError::Range) => {
                Err(ApiError::illegal(name, LEGAL_DECIMAL))
            }
        }
    }

    /// A client order id that may be there.
    ///
    /// # Errors
    /// -1100 for characters or lengths that the venue does not take.
    pub fn client_id(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        let Some(text) = self.text_if_sent(name)? else { return Ok(None) };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.len() > 36 || !text.bytes().all(legal) {
            return Err(ApiError::illegal(name, LEGAL_CLIENT_ID));
        }
        Ok(Some(text))
    }

    /// What is signed: all parameters but the signature, sorted by name, as in the JSON.
    #[must_use]
    pub fn payload(&self) -> String {
        let mut pairs: Vec<(&String, &Value)> =
            self.map.iter().filter(|(name, _)| *name != "signature").collect();
        pairs.sort_by_key(|(name, _)| name.as_bytes());
        let mut out = String::with_capacity(256);
        for (name, value) in pairs {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(name);
            out.push('=');
            match value {
                Value::String(text) => out.push_str(text),
                other => out.push_str(&other.to_string()),
            }
        }
        out
    }
}
