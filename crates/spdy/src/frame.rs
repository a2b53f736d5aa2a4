//! Frames and their bytes.
//!
//! Header blocks are compressed with one zlib stream per direction, which lives as long as the connection: frames must be
//! encoded in the order in which they are sent and decoded in the order in which they come.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::dictionary::dictionary;

/// Names (lower case) and values, in order.
pub type Headers = Vec<(String, String)>;

/// The version of the protocol that control frames name; 3.1 differs from 3 by session flow control alone.
const VERSION: u16 = 3;
/// Bytes of a header block, compressed or not: far more than Kubernetes sends, little for a hostile peer to claim.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const SETTING_INITIAL_WINDOW: u32 = 7;

/// The bytes of a frame's head.
pub const HEAD_LEN: usize = 8;

/// Why a stream was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetCode(pub u32);

impl ResetCode {
    pub const PROTOCOL_ERROR: Self = Self(1);
    pub const INVALID_STREAM: Self = Self(2);
    pub const REFUSED_STREAM: Self = Self(3);
    pub const CANCEL: Self = Self(5);
    pub const FLOW_CONTROL_ERROR: Self = Self(7);
}

/// A frame, less the payload of data frames, which is read in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    SynReply {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    Headers {
        id: u32,
        fin: bool,
        headers: Headers,
    },
    Reset {
        id: u32,
        code: ResetCode,
    },
    /// The new initial window, when the settings name it.
    Settings {
        initial_window: Option<u32>,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last_good: u32,
    },
    /// Stream 0 is the session.
    WindowUpdate {
        id: u32,
        delta: u32,
    },
    /// A control frame of a kind that needs no answer.
    Unknown,
}

/// A frame's first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    Data { id: u32, fin: bool, len: usize },
    Control { kind: u16, flags: u8, len: usize },
}

/// A peer's violation of the protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    #[error("SPDY version {0} instead of 3")]
    Version(u16),
    #[error("a control frame of {0} bytes")]
    TooLong(usize),
    #[error("a control frame of kind {0} ends early")]
    Short(u16),
    #[error("a header block that is not compressed as agreed: {0}")]
    Compression(String),
    #[error("a header block that contradicts itself")]
    HeaderBlock,
}

const FLAG_FIN: u8 = 1;
const ID_MASK: u32 = 0x7fff_ffff;

/// Reads a frame's head.
pub fn parse_head(bytes: [u8; HEAD_LEN]) -> Result<Head, FrameError> {
    let word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let flags = bytes[4];
    let len = usize::from(bytes[5]) << 16 | usize::from(bytes[6]) << 8 | usize::from(bytes[7]);
    if word & !ID_MASK == 0 {
        return Ok(Head::Data { id: word, fin: flags & FLAG_FIN != 0, len });
    }
    let version = u16::from_be_bytes([bytes[0] & 0x7f, bytes[1]]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if len > MAX_HEADER_BYTES {
        return Err(FrameError::TooLong(len));
    }
    Ok(Head::Control { kind: u16::from_be_bytes([bytes[2], bytes[3]]), flags, len })
}

/// The head of a data frame. `len` must be below 2^24.
pub fn data_head(id: u32, fin: bool, len: usize) -> [u8; HEAD_LEN] {
    let [_, a, b, c] = u32::try_from(len).expect("data is sent in small frames").to_be_bytes();
    let [w, x, y, z] = (id & ID_MASK).to_be_bytes();
    [w, x, y, z, u8::from(fin), a, b, c]
}

/// Compresses this side's header blocks and writes frames.
#[derive(Debug)]
pub struct Encoder {
    zlib: Compress,
}

impl Encoder {
    #[allow(clippy::new_without_default, reason = "a compressor with a dictionary is no plain default")]
    pub fn new() -> Self {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&dictionary()).expect("a new compressor takes a dictionary");
        Self { zlib }
    }

    /// The frame's bytes.
    pub fn encode(&mut self, frame: &Frame) -> Vec<u8> {
        let mut body = Vec::new();
        let mut flags = 0;
        let mut word = |n: u32| body.extend_from_slice(&n.to_be_bytes());
        let kind = match frame {
            Frame::SynStream { id, fin, headers } => {
                flags = u8::from(*fin);
                word(id & ID_MASK);
                word(0);
                // Priority and credential slot.
                body.extend_from_slice(&[0, 0]);
                self.headers(headers, &mut body);
                1
            }
            Frame::SynReply { id, fin, headers } => {
                flags = u8::from(*fin);
                word(id & ID_MASK);
                self.headers(headers, &mut body);
                2
            }
            Frame::Reset { id, code } => {
                word(id & ID_MASK);
                word(code.0);
                3
            }
            Frame::Settings { initial_window } => {
                let entries = u32::from(initial_window.is_some());
                word(entries);
                if let Some(window) = initial_window {
                    word(SETTING_INITIAL_WINDOW);
                    word(*window);
                }
                4
            }
            Frame::Ping { id } => {
                word(*id);
                6
            }
            Frame::GoAway { last_good } => {
                word(last_good & ID_MASK);
                word(0);
                7
            }
            Frame::Headers { id, fin, headers } => {
                flags = u8::from(*fin);
                word(id & ID_MASK);
                self.headers(headers, &mut body);
                8
            }
            Frame::WindowUpdate { id, delta } => {
                word(id & ID_MASK);
                word(delta & ID_MASK);
                9
            }
            Frame::Unknown => return Vec::new(),
        };
        let mut out = Vec::with_capacity(HEAD_LEN + body.len());
        out.extend_from_slice(&(VERSION | 0x8000).to_be_bytes());
        out.extend_from_slice(&u16::to_be_bytes(kind));
        let [_, a, b, c] = u32::try_from(body.len()).expect("header blocks are small").to_be_bytes();
        out.extend_from_slice(&[flags, a, b, c]);
        out.extend_from_slice(&body);
        out
    }

    fn headers(&mut self, headers: &Headers, out: &mut Vec<u8>) {
        let mut plain = Vec::new();
        let text = |plain: &mut Vec<u8>, text: &str| {
            plain.extend_from_slice(&u32::try_from(text.len()).expect("headers are short").to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        };
        plain.extend_from_slice(&u32::try_from(headers.len()).expect("headers are few").to_be_bytes());
        for (name, value) in headers {
            text(&mut plain, &name.to_ascii_lowercase());
            text(&mut plain, value);
        }
        let mut rest = plain.as_slice();
        loop {
            // Room for the worst case; compress_vec stops when the vector's capacity is used up.
            out.reserve(rest.len() + 128);
            let before = self.zlib.total_in();
            self.zlib.compress_vec(rest, out, FlushCompress::Sync).expect("compression has no invalid input");
            let used = usize::try_from(self.zlib.total_in() - before).expect("no more than was given");
            rest = &rest[used..];
            if rest.is_empty() && out.len() < out.capacity() {
                return;
            }
        }
    }
}

/// Decompresses the peer's header blocks and reads frames.
#[derive(Debug)]
pub struct Decoder {
    zlib: Decompress,
}

impl Decoder {
    #[allow(clippy::new_without_default, reason = "a decompressor in its first state is no plain default")]
    pub fn new() -> Self {
        Self { zlib: Decompress::new(true) }
    }

    /// Reads a control frame's body.
    pub fn decode(&mut self, kind: u16, flags: u8, body: &Bytes) -> Result<Frame, FrameError> {
        let word = |at: usize| -> Result<u32, FrameError> {
            let bytes = body.get(at..at + 4).ok_or(FrameError::Short(kind))?;
            Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let id = |at: usize| word(at).map(|w| w & ID_MASK);
        let fin = flags & FLAG_FIN != 0;
        Ok(match kind {
            1 => {
                let block = body.get(10..).ok_or(FrameError::Short(kind))?;
                Frame::SynStream { id: id(0)?, fin, headers: self.headers(block)? }
            }
            2 => Frame::SynReply { id: id(0)?, fin, headers: self.headers(&body[4.min(body.len())..])? },
            3 => Frame::Reset { id: id(0)?, code: ResetCode(word(4)?) },
            4 => {
                let mut initial_window = None;
                for i in 0..word(0)? as usize {
                    // Flags in the first byte, the setting's number in the other three.
                    if word(4 + 8 * i)? & 0x00ff_ffff == SETTING_INITIAL_WINDOW {
                        initial_window = Some(word(8 + 8 * i)?);
                    }
                }
                Frame::Settings { initial_window }
            }
            6 => Frame::Ping { id: word(0)? },
            7 => Frame::GoAway { last_good: id(0)? },
            8 => Frame::Headers { id: id(0)?, fin, headers: self.headers(&body[4.min(body.len())..])? },
            9 => Frame::WindowUpdate { id: id(0)?, delta: id(4)? },
            _ => Frame::Unknown,
        })
    }

    fn headers(&mut self, block: &[u8]) -> Result<Headers, FrameError> {
        let plain = self.inflate(block)?;
        let mut rest = plain.as_slice();
        let n = number(&mut rest)?;
        let mut headers = Headers::new();
        for _ in 0..n {
            let mut text = || -> Result<String, FrameError> {
                let len = number(&mut rest)?;
                let (bytes, tail) = rest.split_at_checked(len).ok_or(FrameError::HeaderBlock)?;
                rest = tail;
                String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::HeaderBlock)
            };
            headers.push((text()?, text()?));
        }
        Ok(headers)
    }

    fn inflate(&mut self, block: &[u8]) -> Result<Vec<u8>, FrameError> {
        let error = |e: &dyn std::fmt::Display| FrameError::Compression(e.to_string());
        let mut out = Vec::with_capacity(1024);
        let mut rest = block;
        loop {
            let before = self.zlib.total_in();
            let result = self.zlib.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            let used = usize::try_from(self.zlib.total_in() - before).map_err(|e| error(&e))?;
            rest = rest.get(used..).unwrap_or_default();
            if let Err(e) = result {
                // Asked for once, in the connection's first block.
                e.needs_dictionary().ok_or_else(|| error(&e))?;
                self.zlib.set_dictionary(&dictionary()).map_err(|e| error(&e))?;
                continue;
            }
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            if out.len() >= MAX_HEADER_BYTES {
                return Err(FrameError::Compression("it becomes too long".into()));
            }
            if out.len() == out.capacity() {
                out.reserve(out.len());
            } else if used == 0 {
                return Err(FrameError::Compression("it does not end".into()));
            }
        }
    }
}

/// Takes four bytes of a header block as a number.
fn number(rest: &mut &[u8]) -> Result<usize, FrameError> {
    let (word, tail) = rest.split_first_chunk::<4>().ok_or(FrameError::HeaderBlock)?;
    *rest = tail;
    Ok(u32::from_be_bytes(*word) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Headers {
        list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    /// Encodes and decodes frames with one pair of compressors.
    #[track_caller]
    fn check_round_trip(frames: &[Frame]) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for frame in frames {
            let bytes = encoder.encode(frame);
            let head: [u8; HEAD_LEN] = bytes[..HEAD_LEN].try_into().unwrap();
            let Head::Control { kind, flags, len } = parse_head(head).unwrap() else { panic!("control") };
            assert_eq!(len, bytes.len() - HEAD_LEN);
            let body = Bytes::copy_from_slice(&bytes[HEAD_LEN..]);
            assert_eq!(&decoder.decode(kind, flags, &body).unwrap(), frame);
        }
    }

    #[test]
    fn frames_survive() {
        check_round_trip(&[
            Frame::SynStream { id: 1, fin: false, headers: headers(&[("streamtype", "error")]) },
            Frame::SynStream {
                id: 3,
                fin: true,
                headers: headers(&[("streamtype", "stdin"), ("port", "80")]),
            },
            Frame::SynReply { id: 1, fin: false, headers: headers(&[]) },
            Frame::Headers { id: 1, fin: true, headers: headers(&[("x", &"long ".repeat(5000))]) },
            Frame::Reset { id: 3, code: ResetCode::CANCEL },
            Frame::Settings { initial_window: Some(1 << 20) },
            Frame::Settings { initial_window: None },
            Frame::Ping { id: 7 },
            Frame::GoAway { last_good: 3 },
            Frame::WindowUpdate { id: 0, delta: 4096 },
            Frame::SynStream { id: 5, fin: false, headers: headers(&[("streamtype", "error")]) },
        ]);
    }

    #[test]
    fn the_first_block_begins_as_every_peer_expects() {
        let bytes = Encoder::new().encode(&Frame::SynReply { id: 1, fin: false, headers: headers(&[]) });
        assert_eq!(bytes[HEAD_LEN + 4 + 2..HEAD_LEN + 4 + 6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn hostile_frames_are_refused() {
        let mut decoder = Decoder::new();
        assert!(decoder.decode(1, 0, &Bytes::from_static(&[0; 5])).is_err());
        assert!(decoder.decode(1, 0, &Bytes::from_static(&[0xff; 40])).is_err());
        assert!(Decoder::new().decode(4, 0, &Bytes::from_static(&[0xff; 12])).is_err());
        assert_eq!(parse_head([0x80, 2, 0, 1, 0, 0, 0, 0]), Err(FrameError::Version(2)));
        assert!(matches!(parse_head([0x80, 3, 0, 1, 0, 0xff, 0, 0]), Err(FrameError::TooLong(_))));
        // A block of zeros that grows without end.
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&dictionary()).unwrap();
        let mut bomb = vec![0; 10];
        bomb.reserve(100_000);
        zlib.compress_vec(&vec![0; 10 << 20], &mut bomb, FlushCompress::Sync).unwrap();
        assert!(Decoder::new().decode(1, 0, &Bytes::from(bomb)).is_err());
    }

    #[test]
    fn data_heads() {
        let head = data_head(5, true, 0x01_02_03);
        assert_eq!(parse_head(head).unwrap(), Head::Data { id: 5, fin: true, len: 0x01_02_03 });
    }
}
