//! Protobuf's wire format: varints, tags and length-delimited bytes.

use super::ProtoError;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;

pub(super) fn put_varint(out: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).expect("seven bits"));
}

pub(super) fn put_tag(out: &mut Vec<u8>, field: u32, wire: u8) {
    put_varint(out, u64::from(field) << 3 | u64::from(wire));
}

/// Negative numbers take ten bytes, as two's complement in 64 bits.
pub(super) fn put_int(out: &mut Vec<u8>, field: u32, number: i64) {
    put_tag(out, field, VARINT);
    put_varint(out, number.cast_unsigned());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A field as it stands in a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl Data<'_> {
    pub(super) fn wire(&self) -> u8 {
        match self {
            Self::Varint(_) => VARINT,
            Self::Fixed64(_) => FIXED64,
            Self::Bytes(_) => BYTES,
            Self::Fixed32 => FIXED32,
        }
    }
}

/// Takes a message apart.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut number = 0u64;
        for (at, byte) in self.rest.iter().enumerate() {
            if at == 10 {
                return Err(ProtoError::Overflow);
            }
            number |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(number);
            }
        }
        Err(ProtoError::UnexpectedEof)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], ProtoError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(ProtoError::UnexpectedEof)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next field's number and data.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Data<'a>)>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| ProtoError::Overflow)?;
        let data = match u8::try_from(tag & 7).expect("three bits") {
            VARINT => Data::Varint(self.varint()?),
            FIXED64 => Data::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes"))),
            BYTES => {
                let length = self.varint()?;
                Data::Bytes(self.take(usize::try_from(length).map_err(|_| ProtoError::Overflow)?)?)
            }
            FIXED32 => {
                self.take(4)?;
                Data::Fixed32
            }
            wire => return Err(ProtoError::IllegalWireType(wire)),
        };
        Ok(Some((field, data)))
    }
}
