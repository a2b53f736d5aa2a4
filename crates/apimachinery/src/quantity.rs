//! `resource.Quantity`: exact decimal amounts with SI, binary and exponent suffixes.
//!
//! An amount is a 128-bit integer times a power of ten, rounded up (away from zero) to nano units when it is read, as
//! upstream does. Sums and differences are exact; only amounts beyond 38 digits saturate.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::Value;

/// Why a text is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// Which family of suffixes a quantity is printed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    #[default]
    DecimalSi,
}

/// An amount and the format to print it in. Comparison is by amount alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    /// The amount is `mantissa * 10^scale`.
    mantissa: i128,
    scale: i32,
    format: Format,
}

/// Nothing smaller than a nano unit is kept.
const SCALE_MIN: i32 = -9;

/// As many digits as an i128 always holds.
const DIGITS_MAX: usize = 38;

impl Quantity {
    pub fn zero() -> Self {
        Self::default()
    }
    pub fn new(value: i64, format: Format) -> Self {
        Self { mantissa: value.into(), scale: 0, format }.reduced()
    }
    pub fn from_milli(milli: i64, format: Format) -> Self {
        Self { mantissa: milli.into(), scale: -3, format }.reduced()
    }

    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let (negative, number, suffix) = split(text)?;
        let (base, exponent, format) = interpret_suffix(suffix).ok_or(QuantityError::Suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction_digits = i32::try_from(fraction.len()).map_err(|_| QuantityError::Format)?;
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let amount = if base == 10 {
            Self::from_digits(digits, exponent.saturating_sub(fraction_digits))
        } else {
            let parsed = Self::from_digits(digits, -fraction_digits);
            let factor = 1i128 << exponent;
            Self { mantissa: parsed.mantissa.saturating_mul(factor), ..parsed }.rounded_up_to(SCALE_MIN)
        };
        let amount = Self { format, ..amount }.binary_limits();
        let mantissa = if negative { -amount.mantissa } else { amount.mantissa };
        Ok(Self { mantissa, ..amount }.reduced())
    }

    /// Reads a JSON value: a string, or a number taken by its text; null is zero.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value.as_str() {
            Some(text) => Self::parse(text.trim()),
            None if value.is_null() => Ok(Self::zero()),
            None => Self::parse(&value.to_json_string()),
        }
    }

    /// Digits without sign, point or leading zeros; what is below a nano unit is rounded up.
    fn from_digits(digits: &str, scale: i32) -> Self {
        let below = usize::try_from(SCALE_MIN.saturating_sub(scale)).unwrap_or(0);
        let kept = digits.len().saturating_sub(below);
        let round_up = digits[kept..].bytes().any(|b| b != b'0');
        let digits = &digits[..kept];
        let mantissa = match digits.len() {
            0 => 0,
            n if n > DIGITS_MAX => i128::MAX,
            _ => digits.parse::<i128>().expect("at most 38 digits fit an i128"),
        };
        let mantissa = mantissa.saturating_add(round_up.into());
        Self { mantissa, scale: scale.max(SCALE_MIN), format: Format::default() }
    }

    /// Binary quantities end at int64, and below one they are printed as decimal ones.
    fn binary_limits(self) -> Self {
        if self.format != Format::BinarySi {
            return self;
        }
        let max = Self { mantissa: i64::MAX.into(), scale: 0, format: Format::BinarySi };
        if self > max {
            return max;
        }
        if self.mantissa > 0 && self < Self::new(1, Format::BinarySi) {
            return Self { format: Format::DecimalSi, ..self };
        }
        self
    }

    /// Moves factors of ten from the mantissa into the scale.
    fn reduced(mut self) -> Self {
        if self.mantissa == 0 {
            self.scale = 0;
            return self;
        }
        while self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale = self.scale.saturating_add(1);
        }
        self
    }

    /// The least amount, away from zero, that is a multiple of `10^scale`.
    fn rounded_up_to(self, scale: i32) -> Self {
        if self.scale >= scale {
            return self;
        }
        let drop = scale.saturating_sub(self.scale).unsigned_abs();
        let Some(divisor) = 10i128.checked_pow(drop) else {
            return Self { mantissa: self.mantissa.signum(), scale, ..self };
        };
        let mut mantissa = self.mantissa / divisor;
        if self.mantissa % divisor != 0 {
            mantissa += self.mantissa.signum();
        }
        Self { mantissa, scale, ..self }
    }

    /// The amount in units of `10^scale`, rounded up, within int64.
    fn scaled_value(self, scale: i32) -> i64 {
        let rounded = self.rounded_up_to(scale);
        let up = rounded.scale.saturating_sub(scale).unsigned_abs();
        let value = saturating_scale(rounded.mantissa, up);
        i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
    }

    /// In units, rounded up.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }
    /// In thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }
    /// An approximation, for metrics and expressions.
    pub fn as_f64(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an approximation is asked for")]
        let mantissa = self.mantissa as f64;
        mantissa * 10f64.powi(self.scale)
    }
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }
    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match self.mantissa.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }
    /// Whether it is a whole number of units.
    pub fn is_integer(&self) -> bool {
        self.reduced().scale >= 0
    }
    pub fn format(&self) -> Format {
        self.format
    }

    /// The amount in the given power of ten without rounding: the lower of two scales.
    fn aligned(self, other: Self) -> (i128, i128, i32) {
        let scale = self.scale.min(other.scale);
        let lift = |q: Self| saturating_scale(q.mantissa, q.scale.saturating_sub(scale).unsigned_abs());
        (lift(self), lift(other), scale)
    }

    fn suffixed(&self) -> (i128, String) {
        let one_k = Self::new(1024, Format::BinarySi);
        let small = *self < one_k && *self > Self::new(-1024, Format::BinarySi);
        if self.format == Format::BinarySi && !small && self.is_integer() {
            let mut number = saturating_scale(self.mantissa, self.scale.unsigned_abs());
            let mut power = 0;
            while number % 1024 == 0 && power < BINARY.len() - 1 {
                number /= 1024;
                power += 1;
            }
            return (number, BINARY[power].to_owned());
        }
        let reduced = self.reduced();
        let lift = reduced.scale.rem_euclid(3).unsigned_abs();
        let number = saturating_scale(reduced.mantissa, lift);
        let exponent = reduced.scale - reduced.scale.rem_euclid(3);
        let suffix = match DECIMAL.iter().find(|(e, _)| *e == exponent) {
            _ if exponent == 0 => String::new(),
            Some((_, suffix)) if self.format != Format::DecimalExponent => (*suffix).to_owned(),
            _ => format!("e{exponent}"),
        };
        (number, suffix)
    }
}

/// `n * 10^power`, at the limits of i128 when it does not fit.
fn saturating_scale(n: i128, power: u32) -> i128 {
    if n == 0 {
        return 0;
    }
    10i128.checked_pow(power).map_or(if n < 0 { i128::MIN } else { i128::MAX }, |f| n.saturating_mul(f))
}

const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(i32, &str); 10] =
    [(-9, "n"), (-6, "u"), (-3, "m"), (0, ""), (3, "k"), (6, "M"), (9, "G"), (12, "T"), (15, "P"), (18, "E")];

/// Sign, number and suffix. Like upstream it takes `-` and `.` for zero.
fn split(text: &str) -> Result<(bool, &str, &str), QuantityError> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(body);
    if body[end..].starts_with('.') {
        end += 1;
        end += digits(&body[end..]);
    }
    let (number, suffix) = body.split_at(end);
    let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
    let rest = &suffix[letters..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if digits(rest) != rest.len() {
        return Err(QuantityError::Format);
    }
    Ok((negative, number, suffix))
}

/// Base and exponent that a suffix stands for.
fn interpret_suffix(suffix: &str) -> Option<(u32, i32, Format)> {
    if let Some((exponent, _)) = DECIMAL.iter().find(|(_, s)| *s == suffix) {
        return Some((10, *exponent, Format::DecimalSi));
    }
    if let Some(power) = BINARY.iter().position(|s| *s == suffix) {
        return Some((2, i32::try_from(power * 10).ok()?, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((10, exponent.parse().ok()?, Format::DecimalExponent))
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

/// The canonical form: the largest suffix that leaves an integer.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let (number, suffix) = self.suffixed();
        write!(f, "{number}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign != Ordering::Equal || self.mantissa == 0 {
            return by_sign;
        }
        // By the place of the first digit first: only amounts of the same size are worth scaling, and fit when scaled.
        let size = |q: &Self| i64::from(q.mantissa.unsigned_abs().ilog10()) + i64::from(q.scale);
        let by_size = size(self).cmp(&size(other));
        let magnitude = if by_size == Ordering::Equal {
            let (a, b, _) = self.aligned(*other);
            a.unsigned_abs().cmp(&b.unsigned_abs())
        } else {
            by_size
        };
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }
}

/// A sum takes the format of its first non-zero part.
impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let (a, b, scale) = self.aligned(other);
        Self { mantissa: a.saturating_add(b), scale, format }.reduced()
    }
}
impl std::ops::Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
impl std::ops::Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { mantissa: self.mantissa.saturating_neg(), ..self }
    }
}
impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::zero(), |a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, canonical: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
    }

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("0", "0"),
            ("-", "0"),
            (".", "0"),
            ("1.5", "1500m"),
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("100Ki", "100Ki"),
            ("512Ki", "512Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("12E", "12E"),
            ("1E3", "1e3"),
            ("+5", "5"),
            ("-1", "-1"),
            ("0.0001", "100u"),
            ("0.0000000001", "1n"),
            ("1.0000000000001", "1000000001n"),
            ("10000000000000000000000Ki", "9223372036854775807"),
            ("0.0001Ki", "102400u"),
            ("1500Mi", "1500Mi"),
            ("00012", "12"),
            ("1.G", "1G"),
            ("123456789n", "123456789n"),
            ("1000E", "1e21"),
            ("3Mi", "3Mi"),
            ("-2048Ki", "-2Mi"),
            ("100e-3", "100e-3"),
            ("110e-1", "11"),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn refusals_are_upstreams() {
        for text in ["", "x", "1 Gi", "true", "1.5.5", "1Gi5x"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Format, "{text}");
        }
        for text in ["1ki", "1e", "1kk", "1Mi5", "1K", "--1"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), QuantityError::Suffix, "{text}");
        }
    }

    #[test]
    fn values_round_up_and_sums_are_exact() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(
            (q("1.1").value(), q("-1.1").value(), q("100u").milli_value(), q("2Gi").value()),
            (2, -2, 1, 1 << 31)
        );
        assert_eq!((q("250m") + q("0.75")).to_string(), "1");
        assert_eq!((q("1Gi") - q("1Mi")).to_string(), "1023Mi");
        assert_eq!((Quantity::zero() + q("1Ki")).to_string(), "1Ki");
        assert_eq!(["1n", "1E"].map(q).into_iter().sum::<Quantity>(), q("1000000000000000000.000000001"));
        assert!(q("1e300") > q("1E") && q("-1e300") < q("-1") && q("1e2000000000") > q("1e300"));
        assert_eq!(q("1000m"), q("1"));
        assert_eq!(q("1e300").value(), i64::MAX);
    }
}
