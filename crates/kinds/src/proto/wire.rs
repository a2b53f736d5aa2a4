//! Protobuf's wire format: varints, tags and length-delimited bytes.

use super::ProtoError;

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
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
    /// A group, which no message of ours has: it is passed over.
    Group,
}

impl Data<'_> {
    pub(super) fn wire(&self) -> u8 {
        match self {
            Self::Varint(_) => VARINT,
            Self::Fixed64(_) => FIXED64,
            Self::Bytes(_) => BYTES,
            Self::Fixed32 => FIXED32,
            Self::Group => GROUP_START,
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
        let (field, wire) = self.tag()?;
        if wire == GROUP_END {
            return Err(ProtoError::EndOfGroup);
        }
        if field == 0 {
            return Err(ProtoError::IllegalTag { field, wire });
        }
        Ok(Some((field, self.data(wire)?)))
    }

    fn tag(&mut self) -> Result<(u32, u8), ProtoError> {
        let tag = self.varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| ProtoError::Overflow)?;
        Ok((field, u8::try_from(tag & 7).expect("three bits")))
    }

    fn data(&mut self, wire: u8) -> Result<Data<'a>, ProtoError> {
        Ok(match wire {
            VARINT => Data::Varint(self.varint()?),
            FIXED64 => Data::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes"))),
            BYTES => {
                // Upstream's lengths have a sign.
                let length = i64::try_from(self.varint()?).map_err(|_| ProtoError::NegativeLength)?;
                Data::Bytes(self.take(usize::try_from(length).map_err(|_| ProtoError::UnexpectedEof)?)?)
            }
            FIXED32 => {
                self.take(4)?;
                Data::Fixed32
            }
            GROUP_START => self.group()?,
            wire => return Err(ProtoError::IllegalWireType(wire)),
        })
    }

    /// Passes over a group and the groups in it; a loop, so that no depth of them matters.
    fn group(&mut self) -> Result<Data<'a>, ProtoError> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.tag()?.1 {
                GROUP_START => depth += 1,
                GROUP_END => depth -= 1,
                wire => {
                    self.data(wire)?;
                }
            }
        }
        Ok(Data::Group)
    }
}
