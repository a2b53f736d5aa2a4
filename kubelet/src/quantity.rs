//! Resource quantities as the kubelet reads them: exact, in nano units, rounded up like upstream's `Value` and
//! `MilliValue`. It does not keep or canonicalise a quantity's spelling.

use serde::{Deserialize, Deserializer, Serialize};

/// A quantity as it is written; a JSON number is taken as its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Int(i64),
            Float(f64),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => Self(text),
            Form::Int(n) => Self(n.to_string()),
            Form::Float(n) => Self(n.to_string()),
        })
    }
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// In billionths, rounded up; `None` when it is no quantity.
    pub fn nanos(&self) -> Option<i128> {
        parse(&self.0)
    }
    /// Whole units, rounded up; 0 when it is no quantity.
    pub fn value(&self) -> i64 {
        units(self.nanos().unwrap_or(0), NANO)
    }
    /// Thousandths, rounded up; 0 when it is no quantity.
    pub fn milli(&self) -> i64 {
        units(self.nanos().unwrap_or(0), NANO / 1000)
    }
}

fn units(nanos: i128, of: i128) -> i64 {
    i64::try_from(div_up(nanos, of)).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// Division that rounds away from zero, as quantities do.
pub fn div_up(a: i128, b: i128) -> i128 {
    let q = a / b;
    if a % b == 0 { q } else { q + if (a < 0) == (b < 0) { 1 } else { -1 } }
}

fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (scale, divisor) = match suffix {
        "" => (NANO, 1),
        "n" => (1, 1),
        "u" => (1_000, 1),
        "m" => (1_000_000, 1),
        "k" => (NANO * 1_000, 1),
        "M" => (NANO * 1_000_000, 1),
        "G" => (NANO * 1_000_000_000, 1),
        "T" => (NANO * 1_000_000_000_000, 1),
        "P" => (NANO * 1_000_000_000_000_000, 1),
        "E" => (NANO * 1_000_000_000_000_000_000, 1),
        "Ki" => (NANO << 10, 1),
        "Mi" => (NANO << 20, 1),
        "Gi" => (NANO << 30, 1),
        "Ti" => (NANO << 40, 1),
        "Pi" => (NANO << 50, 1),
        "Ei" => (NANO << 60, 1),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let power: i32 = digits.parse().ok()?;
            let factor = 10i128.checked_pow(power.unsigned_abs())?;
            if power < 0 { (NANO, factor) } else { (NANO.checked_mul(factor)?, 1) }
        }
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let shift = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = div_up(mantissa.checked_mul(scale)?, shift.checked_mul(divisor)?);
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, value: i64, milli: i64) {
        let q = Quantity(text.to_owned());
        assert_eq!((q.value(), q.milli()), (value, milli), "{text}");
    }

    #[test]
    fn quantities() {
        check("100m", 1, 100);
        check("1.5", 2, 1500);
        check("2Gi", 2 << 30, (2 << 30) * 1000);
        check("1e3", 1000, 1_000_000);
        check("0.5m", 1, 1);
        check("128974848", 128_974_848, 128_974_848_000);
        check("-1", -1, -1000);
        assert_eq!(Quantity("x".into()).nanos(), None);
        assert_eq!(Quantity("1x".into()).nanos(), None);
        assert_eq!(serde_json::from_str::<Quantity>("2").unwrap().value(), 2);
    }
}
