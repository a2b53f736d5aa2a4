//! ServiceAccount: no rules beyond its metadata.

use crate::seams::Strategy;

#[derive(Debug)]
pub struct ServiceAccount;

impl Strategy for ServiceAccount {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "serviceaccounts")
    }
}
