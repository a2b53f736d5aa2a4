//! Frames on the wire.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// What a peer did against the protocol; it ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol error: {0}")]
pub struct ProtocolError(pub &'static str);

const VERSION: u16 = 3;
const FLAG_FIN: u8 = 1;

/// The largest frame that is read: upstream's peers send at most 32 KiB of data in one.
pub const FRAME_MAX: usize = 1 << 20;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// RST_STREAM's status for a stream that was cancelled by its receiver.
pub const CANCEL: u32 = 5;

/// A frame, its header block still compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    SynReply {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    Reset {
        id: u32,
        status: u32,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last: u32,
    },
    Headers {
        id: u32,
        fin: bool,
        block: Bytes,
    },
    Data {
        id: u32,
        fin: bool,
        data: Bytes,
    },
    /// SETTINGS, WINDOW_UPDATE and what else carries nothing that we use.
    Other,
}

impl Frame {
    /// Appends the frame's bytes.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::SynStream { id, fin, block } => {
                control(out, SYN_STREAM, *fin, 10 + block.len());
                out.put_u32(*id);
                // No associated stream, priority and slot of zero.
                out.put_u32(0);
                out.put_u16(0);
                out.put_slice(block);
            }
            Self::SynReply { id, fin, block } => {
                control(out, SYN_REPLY, *fin, 4 + block.len());
                out.put_u32(*id);
                out.put_slice(block);
            }
            Self::Reset { id, status } => {
                control(out, RST_STREAM, false, 8);
                out.put_u32(*id);
                out.put_u32(*status);
            }
            Self::Ping { id } => {
                control(out, PING, false, 4);
                out.put_u32(*id);
            }
            Self::GoAway { last } => {
                control(out, GOAWAY, false, 8);
                out.put_u32(*last);
                out.put_u32(0);
            }
            Self::Headers { id, fin, block } => {
                control(out, HEADERS, *fin, 4 + block.len());
                out.put_u32(*id);
                out.put_slice(block);
            }
            Self::Data { id, fin, data } => {
                out.put_u32(id & 0x7fff_ffff);
                put_flags_and_length(out, *fin, data.len());
                out.put_slice(data);
            }
            Self::Other => {}
        }
    }

    /// Takes the next whole frame from `buffer`; `None` when more bytes are needed.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, ProtocolError> {
        if buffer.len() < 8 {
            return Ok(None);
        }
        let first = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes"));
        let second = u32::from_be_bytes(buffer[4..8].try_into().expect("four bytes"));
        let length = (second & 0x00ff_ffff) as usize;
        if length > FRAME_MAX {
            return Err(ProtocolError("a frame is too large"));
        }
        if buffer.len() < 8 + length {
            buffer.reserve(8 + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(8);
        let mut body = buffer.split_to(length).freeze();
        let fin = second >> 24 & u32::from(FLAG_FIN) != 0;
        if first & 0x8000_0000 == 0 {
            return Ok(Some(Self::Data { id: first, fin, data: body }));
        }
        if first >> 16 & 0x7fff != u32::from(VERSION) {
            return Err(ProtocolError("a frame is of another version"));
        }
        let kind = first & 0xffff;
        let mut number = |body: &mut Bytes| -> Result<u32, ProtocolError> {
            if body.len() < 4 {
                return Err(ProtocolError("a frame is too short"));
            }
            Ok(body.get_u32())
        };
        let frame = match u16::try_from(kind).unwrap_or(0) {
            SYN_STREAM => {
                let id = number(&mut body)? & 0x7fff_ffff;
                number(&mut body)?;
                if body.len() < 2 {
                    return Err(ProtocolError("a frame is too short"));
                }
                body.advance(2);
                Self::SynStream { id, fin, block: body }
            }
            SYN_REPLY => Self::SynReply { id: number(&mut body)? & 0x7fff_ffff, fin, block: body },
            RST_STREAM => Self::Reset { id: number(&mut body)? & 0x7fff_ffff, status: number(&mut body)? },
            PING => Self::Ping { id: number(&mut body)? },
            GOAWAY => Self::GoAway { last: number(&mut body)? },
            HEADERS => Self::Headers { id: number(&mut body)? & 0x7fff_ffff, fin, block: body },
            _ => Self::Other,
        };
        Ok(Some(frame))
    }
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    put_flags_and_length(out, fin, length);
}

fn put_flags_and_length(out: &mut BytesMut, fin: bool, length: usize) {
    let length = u32::try_from(length).expect("frames are bounded by FRAME_MAX");
    out.put_u32(u32::from(if fin { FLAG_FIN } else { 0 }) << 24 | (length & 0x00ff_ffff));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let block = Bytes::from_static(b"block");
        let frames = [
            Frame::SynStream { id: 1, fin: false, block: block.clone() },
            Frame::SynReply { id: 1, fin: true, block: block.clone() },
            Frame::Reset { id: 3, status: CANCEL },
            Frame::Ping { id: 2 },
            Frame::GoAway { last: 7 },
            Frame::Headers { id: 1, fin: false, block },
            Frame::Data { id: 5, fin: true, data: Bytes::from_static(b"data") },
        ];
        let mut wire = BytesMut::new();
        frames.iter().for_each(|f| f.encode(&mut wire));
        // Byte by byte, as a slow network brings them.
        let mut buffer = BytesMut::new();
        let mut back = Vec::new();
        for byte in wire {
            buffer.put_u8(byte);
            back.extend(Frame::decode(&mut buffer).unwrap());
        }
        assert_eq!(back, frames);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut huge = BytesMut::from(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff][..]);
        assert!(Frame::decode(&mut huge).is_err());
        let mut other_version = BytesMut::from(&[0x80, 2, 0, 1, 0, 0, 0, 0][..]);
        assert!(Frame::decode(&mut other_version).is_err());
        let mut short = BytesMut::from(&[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0][..]);
        assert!(Frame::decode(&mut short).is_err());
    }
}
