//! Header blocks: name-value pairs, compressed over the whole life of a session with a dictionary fixed by the protocol.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::frame::ProtocolError;

/// Names (lower case) and values, in order.
pub type Headers = Vec<(String, String)>;

/// A header block larger than this once decompressed is refused.
const BLOCK_MAX: usize = 64 * 1024;

/// The words of the dictionary that stand with their length before them.
const DICTIONARY_WORDS: &[&str] = &[
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
];

/// The rest of the dictionary.
const DICTIONARY_TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 \
Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul \
Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8\
charset=iso-8859-1,utf-,*,enq=0.";

/// The dictionary of SPDY/3 and 3.1 (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).
fn dictionary() -> Vec<u8> {
    let mut out = Vec::with_capacity(1423);
    for word in DICTIONARY_WORDS {
        put_length(&mut out, word.len());
        out.extend_from_slice(word.as_bytes());
    }
    out.extend_from_slice(DICTIONARY_TEXT.as_bytes());
    out
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

/// Compresses the header blocks that a session sends.
pub struct Compressor(Compress);

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

impl Compressor {
    #[allow(clippy::new_without_default, reason = "allocates a compressor: not a plain default")]
    pub fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&dictionary()).expect("a new stream takes a dictionary");
        Self(compress)
    }

    /// One block, ready for a frame.
    pub fn compress(&mut self, headers: &[(String, String)]) -> Vec<u8> {
        let mut plain = Vec::new();
        put_length(&mut plain, headers.len());
        for (name, value) in headers {
            for text in [name.to_ascii_lowercase(), value.clone()] {
                put_length(&mut plain, text.len());
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let mut rest = &plain[..];
        loop {
            out.reserve(256);
            let before = self.0.total_in();
            self.0
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .expect("compressing into memory does not fail");
            rest = &rest[consumed(self.0.total_in() - before)..];
            // With room left after a flush there is nothing more to come.
            if rest.is_empty() && out.len() < out.capacity() {
                return out;
            }
        }
    }
}

/// Decompresses the header blocks that a session receives.
pub struct Decompressor(Decompress);

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    #[allow(clippy::new_without_default, reason = "allocates a decompressor: not a plain default")]
    pub fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// The headers of one block.
    pub fn decompress(&mut self, block: &[u8]) -> Result<Headers, ProtocolError> {
        let mut plain = Vec::with_capacity(1024);
        let mut rest = block;
        loop {
            if plain.len() > BLOCK_MAX {
                return Err(ProtocolError("a header block is too large"));
            }
            plain.reserve(1024);
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let result = self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync);
            rest = &rest[consumed(self.0.total_in() - before_in)..];
            match result {
                Ok(Status::StreamEnd) => return parse(&plain),
                Ok(_) if rest.is_empty() && plain.len() < plain.capacity() => return parse(&plain),
                Ok(_) if self.0.total_in() == before_in && self.0.total_out() == before_out => {
                    return Err(ProtocolError("a header block ends in the middle"));
                }
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0
                        .set_dictionary(&dictionary())
                        .map_err(|_| ProtocolError("a header block uses another dictionary"))?;
                }
                Err(_) => return Err(ProtocolError("a header block cannot be decompressed")),
            }
        }
    }
}

fn consumed(bytes: u64) -> usize {
    usize::try_from(bytes).expect("no more than the slice held")
}

fn parse(plain: &[u8]) -> Result<Headers, ProtocolError> {
    let mut rest = plain;
    let count = take_length(&mut rest)?;
    // Each header takes eight bytes at least: a count beyond that lies.
    if count > plain.len() / 8 {
        return Err(ProtocolError("a header block counts more headers than it holds"));
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let name = take_text(&mut rest)?;
        let value = take_text(&mut rest)?;
        headers.push((name, value));
    }
    Ok(headers)
}

fn take_length(rest: &mut &[u8]) -> Result<usize, ProtocolError> {
    let (head, tail) = rest.split_at_checked(4).ok_or(ProtocolError("a header block ends in the middle"))?;
    *rest = tail;
    Ok(u32::from_be_bytes(head.try_into().expect("four bytes")) as usize)
}

fn take_text(rest: &mut &[u8]) -> Result<String, ProtocolError> {
    let length = take_length(rest)?;
    let (head, tail) =
        rest.split_at_checked(length).ok_or(ProtocolError("a header block ends in the middle"))?;
    *rest = tail;
    String::from_utf8(head.to_vec()).map_err(|_| ProtocolError("a header is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adler32(data: &[u8]) -> u32 {
        let (mut a, mut b) = (1u32, 0u32);
        for byte in data {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        b << 16 | a
    }

    /// The checksum stands in the header of every compressed stream of the protocol.
    #[test]
    fn the_dictionary_is_the_protocols() {
        assert_eq!(dictionary().len(), 1423);
        assert_eq!(adler32(&dictionary()), 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_share_one_stream() {
        let (mut out, mut back) = (Compressor::new(), Decompressor::new());
        for round in 0..50 {
            let headers: Headers = (0..round)
                .map(|i| (format!("name-{i}"), format!("value {round} {}", "x".repeat(i * 7))))
                .collect();
            assert_eq!(back.decompress(&out.compress(&headers)).unwrap(), headers);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Decompressor::new().decompress(b"nonsense").is_err());
        assert!(parse(&[0, 0, 0, 9]).is_err());
        assert!(parse(&[0, 0, 0, 1, 0, 0, 0, 200, b'a']).is_err());
    }

    #[test]
    fn a_block_that_swells_is_refused() {
        let mut out = Compressor::new();
        let block = out.compress(&[("a".into(), "x".repeat(BLOCK_MAX * 4))]);
        assert!(Decompressor::new().decompress(&block).is_err());
    }
}
