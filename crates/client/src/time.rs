//! Times in the two forms that the API writes.

use jiff::Timestamp;

/// metav1.Time: RFC 3339 in whole seconds.
pub fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// metav1.MicroTime: RFC 3339 in microseconds.
pub fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let time: Timestamp = "2026-01-02T03:04:05.123456789Z".parse().unwrap();
        assert_eq!(seconds(time), "2026-01-02T03:04:05Z");
        assert_eq!(micros(time), "2026-01-02T03:04:05.123456Z");
    }
}
