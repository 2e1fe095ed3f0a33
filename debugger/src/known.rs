//! A value that may be missing, with the reason: never a blank or a zero that means "unknown".

use serde::{Serialize, Serializer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Known<T> {
    Yes(T),
    /// Asked of the target; the answer has not come yet.
    #[default]
    Asked,
    /// Cannot be told, and why, as a phrase that can follow "because".
    No(String),
}

impl<T> Known<T> {
    pub fn no(why: impl Into<String>) -> Self {
        Self::No(why.into())
    }

    pub const fn yes(&self) -> Option<&T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::Asked | Self::No(_) => None,
        }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Self::Yes(value) => Known::Yes(change(value)),
            Self::Asked => Known::Asked,
            Self::No(why) => Known::No(why),
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Known<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Yes(value),
            Err(error) => Self::No(error.to_string()),
        }
    }
}

/// The value itself, `null` while it is asked for, or `{"unknown": "why"}`.
impl<T: Serialize> Serialize for Known<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        match self {
            Self::Yes(value) => value.serialize(serializer),
            Self::Asked => serializer.serialize_none(),
            Self::No(why) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("unknown", why)?;
                map.end()
            }
        }
    }
}
