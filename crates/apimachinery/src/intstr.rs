//! `intstr.IntOrString`: a count or a share.

use std::fmt;

use crate::Value;

/// A number, or a text such as `25%` or a port's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    Int(i32),
    String(String),
}

/// Why a share cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for IntOrString: {0}")]
pub struct ScaleError(String);

impl IntOrString {
    /// Reads a JSON value; `None` for what is neither an int32 nor a string.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value.as_str() {
            Some(text) => Some(Self::String(text.to_owned())),
            None => value.as_i64().and_then(|i| i32::try_from(i).ok()).map(Self::Int),
        }
    }

    /// The number in `25%`, when it is a percentage.
    pub fn percent(&self) -> Option<i32> {
        match self {
            Self::Int(_) => None,
            Self::String(text) => text.strip_suffix('%')?.parse().ok(),
        }
    }

    /// The count, or the share of `total` rounded up or down.
    pub fn scaled(&self, total: i64, round_up: bool) -> Result<i64, ScaleError> {
        let text = match self {
            Self::Int(i) => return Ok(i64::from(*i)),
            Self::String(text) => text,
        };
        let Some(number) = text.strip_suffix('%') else {
            return Err(ScaleError("invalid type: string is not a percentage".into()));
        };
        let Ok(percent) = number.parse::<i32>() else {
            let quoted = crate::go::quote(number);
            return Err(ScaleError(format!(
                "invalid value {}: strconv.Atoi: parsing {quoted}: invalid syntax",
                crate::go::quote(text)
            )));
        };
        let product = i128::from(percent) * i128::from(total);
        let down = product.div_euclid(100);
        let up = down + i128::from(product.rem_euclid(100) != 0);
        let scaled = if round_up { up } else { down };
        Ok(i64::try_from(scaled).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(i) => i.fmt(f),
            Self::String(text) => f.write_str(text),
        }
    }
}

impl From<&IntOrString> for Value {
    fn from(v: &IntOrString) -> Self {
        match v {
            IntOrString::Int(i) => Value::from(*i),
            IntOrString::String(text) => Value::from(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_as_asked() {
        let quarter = IntOrString::String("25%".into());
        assert_eq!((quarter.scaled(10, true), quarter.scaled(10, false)), (Ok(3), Ok(2)));
        assert_eq!(IntOrString::Int(7).scaled(1, true), Ok(7));
        let error = IntOrString::String("x".into()).scaled(1, true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value for IntOrString: invalid type: string is not a percentage"
        );
        assert!(IntOrString::String("x%".into()).scaled(1, true).is_err());
    }
}
