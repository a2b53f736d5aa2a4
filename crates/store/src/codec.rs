//! How transactions and records look in the log and in snapshots: a version byte where a file may outlive the program,
//! LEB128 numbers, length-prefixed strings. Integrity is not its business: the files' frames carry checksums.

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{Cond, Guard, Key, Op, StateEntry, Txn};

/// Written first in every log entry; a program that does not know the number refuses the log.
const BATCH_VERSION: u8 = 1;

/// Why bytes that passed their checksum could not be read: written by another version, or a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be decoded: {0}")]
pub(crate) struct DecodeError(pub(crate) &'static str);

pub(crate) fn put_u64(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the `put_` functions wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(DecodeError("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(DecodeError("a number is too long"))
    }

    fn len(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.u64()?).map_err(|_| DecodeError("a length is too large"))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let n = self.len()?;
        self.take(n)
    }

    fn key(&mut self) -> Result<Key, DecodeError> {
        std::str::from_utf8(self.bytes()?).map(Arc::from).map_err(|_| DecodeError("a key is not UTF-8"))
    }

    /// Copied, so that a small value does not keep the whole file's buffer alive.
    fn value(&mut self) -> Result<Bytes, DecodeError> {
        Ok(Bytes::copy_from_slice(self.bytes()?))
    }

    fn expiry(&mut self) -> Result<Option<i64>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => {
                let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
                Ok(Some(i64::from_le_bytes(bytes)))
            }
            _ => Err(DecodeError("an unknown expiry tag")),
        }
    }
}

fn put_expiry(out: &mut Vec<u8>, expiry: Option<i64>) {
    match expiry {
        None => out.push(0),
        Some(at) => {
            out.push(1);
            out.extend_from_slice(&at.to_le_bytes());
        }
    }
}

/// The transactions of one log entry.
pub(crate) fn encode_batch<'a>(txns: impl ExactSizeIterator<Item = &'a Txn> + Clone) -> Vec<u8> {
    let size: usize = txns.clone().map(|txn| txn.size() + 16 * (1 + txn.guards.len() + txn.ops.len())).sum();
    let mut out = Vec::with_capacity(size + 16);
    out.push(BATCH_VERSION);
    put_u64(&mut out, txns.len() as u64);
    for txn in txns {
        put_u64(&mut out, txn.guards.len() as u64);
        for guard in &txn.guards {
            put_bytes(&mut out, guard.key.as_bytes());
            match guard.cond {
                Cond::Absent => out.push(0),
                Cond::Present => out.push(1),
                Cond::ModRevision(revision) => {
                    out.push(2);
                    put_u64(&mut out, revision);
                }
            }
        }
        put_u64(&mut out, txn.ops.len() as u64);
        for op in &txn.ops {
            put_bytes(&mut out, op.key().as_bytes());
            match op {
                Op::Delete { .. } => out.push(0),
                Op::Put { value, expiry, .. } => {
                    out.push(1);
                    put_bytes(&mut out, value);
                    put_expiry(&mut out, *expiry);
                }
            }
        }
    }
    out
}

pub(crate) fn decode_batch(bytes: &[u8]) -> Result<Vec<Txn>, DecodeError> {
    let mut r = Reader::new(bytes);
    if r.u8()? != BATCH_VERSION {
        return Err(DecodeError("an unknown version of the format"));
    }
    // No capacity from a number in the file: what is there bounds what is allocated.
    let mut txns = Vec::new();
    for _ in 0..r.u64()? {
        let mut txn = Txn::default();
        for _ in 0..r.u64()? {
            let key = r.key()?;
            let cond = match r.u8()? {
                0 => Cond::Absent,
                1 => Cond::Present,
                2 => Cond::ModRevision(r.u64()?),
                _ => return Err(DecodeError("an unknown kind of guard")),
            };
            txn.guards.push(Guard { key, cond });
        }
        for _ in 0..r.u64()? {
            let key = r.key()?;
            txn.ops.push(match r.u8()? {
                0 => Op::Delete { key },
                1 => Op::Put { key, value: r.value()?, expiry: r.expiry()? },
                _ => return Err(DecodeError("an unknown kind of operation")),
            });
        }
        txns.push(txn);
    }
    if r.is_empty() { Ok(txns) } else { Err(DecodeError("bytes are left over")) }
}

/// A record of a snapshot.
pub(crate) fn put_state_entry(out: &mut Vec<u8>, entry: &StateEntry) {
    put_bytes(out, entry.key.as_bytes());
    put_bytes(out, &entry.value);
    put_u64(out, entry.mod_revision);
    put_u64(out, entry.create_revision);
    put_expiry(out, entry.expiry);
}

pub(crate) fn read_state_entry(r: &mut Reader<'_>) -> Result<StateEntry, DecodeError> {
    Ok(StateEntry {
        key: r.key()?,
        value: r.value()?,
        mod_revision: r.u64()?,
        create_revision: r.u64()?,
        expiry: r.expiry()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Txn> {
        let guards = vec![
            Guard { key: "/a".into(), cond: Cond::Absent },
            Guard { key: "/b".into(), cond: Cond::Present },
            Guard { key: "/ü".into(), cond: Cond::ModRevision(u64::MAX) },
        ];
        let value = Bytes::from(vec![0xff; 300]);
        let ops = vec![
            Op::Put { key: "/a".into(), value, expiry: Some(-1) },
            Op::Put { key: "/c".into(), value: Bytes::new(), expiry: None },
            Op::Delete { key: "/b".into() },
        ];
        vec![Txn { guards, ops }, Txn::default()]
    }

    #[test]
    fn batches_survive_the_round_trip() {
        let txns = example();
        assert_eq!(decode_batch(&encode_batch(txns.iter())), Ok(txns));
        assert_eq!(decode_batch(&encode_batch([].iter())), Ok(vec![]));
    }

    #[test]
    fn every_shortened_batch_is_refused() {
        let bytes = encode_batch(example().iter());
        for n in 0..bytes.len() {
            assert!(decode_batch(&bytes[..n]).is_err(), "{n} bytes");
        }
        let longer = [bytes, vec![0]].concat();
        assert_eq!(decode_batch(&longer), Err(DecodeError("bytes are left over")));
    }
}
