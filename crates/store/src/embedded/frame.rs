//! Frames: how bytes lie in the log and in snapshots, each with checksums, so that a torn end can be told from damage.
//!
//! A frame is what one write makes durable. Its header (magic, length, CRC32C of the payload, CRC32C of the header) has a
//! checksum of its own, so a damaged length is never believed.
//!
//! The end of a log may be torn: the host died before a write was durable, and nothing in it was acknowledged. That
//! shows as a frame that the file is too short for, or as sectors of zeros inside the last frame (a file system may
//! record the new length before the data). Anything else that does not add up is damage to what was durable, and is
//! refused: silently dropping it would lose acknowledged writes.

use std::ops::Range;

/// What every frame starts with.
const MAGIC: [u8; 4] = *b"GFRM";

/// Magic, length of the payload, CRC32C of the payload, CRC32C of these twelve bytes.
pub(super) const HEADER: usize = 16;

/// The last byte of every payload, taken off when it is read: so that no frame ends in a sector of zeros by itself.
const LAST: u8 = 0xa5;

/// Disks write sectors whole.
const SECTOR: usize = 512;

/// Larger than any frame that is written: the proposal queue's bytes and some.
pub(super) const PAYLOAD_MAX: usize = 256 << 20;

/// Room for a header, before the payload is appended and [`finish`] is called.
pub(super) fn begin() -> Vec<u8> {
    vec![0; HEADER]
}

/// Fills in the header of a frame that [`begin`] started.
pub(super) fn finish(frame: &mut Vec<u8>) {
    frame.push(LAST);
    let len = u32::try_from(frame.len() - HEADER).expect("queues bound a frame far below 4 GiB");
    let crc = crc32c::crc32c(&frame[HEADER..]);
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..12].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[..12]);
    frame[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// A header that passed its checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Of what follows the header: the payload and its last byte.
    pub(super) len: usize,
    crc: u32,
}

impl Header {
    /// `None` for anything that is no header.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let word =
            |i: usize| bytes.get(i..i + 4).map(|b| u32::from_le_bytes(b.try_into().expect("four bytes")));
        if bytes.get(..4)? != MAGIC || word(12)? != crc32c::crc32c(&bytes[..12]) {
            return None;
        }
        let len = usize::try_from(word(4)?).ok().filter(|len| (1..=PAYLOAD_MAX).contains(len))?;
        Some(Self { len, crc: word(8)? })
    }

    /// Whether `body` (payload and last byte) is what was written.
    pub(super) fn matches(&self, body: &[u8]) -> bool {
        body.len() == self.len && crc32c::crc32c(body) == self.crc
    }
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After a whole frame.
    Clean,
    /// In the middle of a write that never became durable; what counts ends at `offset`.
    Torn { offset: usize },
    /// What was durable has changed since, first seen at `offset`.
    Damaged { offset: usize },
}

/// Where the payloads of the whole frames are, and how the file ends.
pub(super) fn scan(file: &[u8]) -> (Vec<Range<usize>>, End) {
    let mut payloads = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let rest = &file[at..];
        let header = Header::parse(rest);
        let payload = header.and_then(|h| rest.get(HEADER..HEADER + h.len));
        match (header, payload) {
            (Some(header), Some(payload)) if header.matches(payload) => {
                let start = at + HEADER;
                at = start + header.len;
                payloads.push(start..at - 1);
            }
            _ => {
                let end = if is_torn(rest, at, header) {
                    End::Torn { offset: at }
                } else {
                    End::Damaged { offset: at }
                };
                return (payloads, end);
            }
        }
    }
    (payloads, End::Clean)
}

/// Whether the bytes from `offset` on, which start no whole frame, are a write that never became durable.
fn is_torn(rest: &[u8], offset: usize, header: Option<Header>) -> bool {
    // A later whole frame was written after this one was durable.
    if (1..rest.len()).any(|i| rest[i..].starts_with(&MAGIC) && whole_frame(&rest[i..])) {
        return false;
    }
    match header {
        Some(header) if rest.len() < HEADER + header.len => true,
        Some(header) => has_zero_sector(&rest[..HEADER + header.len], offset),
        None => rest.len() < HEADER || has_zero_sector(rest, offset),
    }
}

fn whole_frame(bytes: &[u8]) -> bool {
    Header::parse(bytes).is_some_and(|h| bytes.get(HEADER..HEADER + h.len).is_some_and(|p| h.matches(p)))
}

/// Whether some sector of the file is all zeros, as far as `bytes` (which start at `offset`) cover it.
fn has_zero_sector(bytes: &[u8], offset: usize) -> bool {
    let first = (SECTOR - offset % SECTOR).min(bytes.len());
    let (head, sectors) = bytes.split_at(first);
    std::iter::once(head).chain(sectors.chunks(SECTOR)).any(|s| !s.is_empty() && s.iter().all(|b| *b == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut file = Vec::new();
        for payload in payloads {
            let mut frame = begin();
            frame.extend_from_slice(payload);
            finish(&mut frame);
            file.extend(frame);
        }
        file
    }

    #[track_caller]
    fn check(file: &[u8], frames: usize, end: End) {
        let (payloads, found) = scan(file);
        assert_eq!((payloads.len(), found), (frames, end));
    }

    #[test]
    fn whole_files_are_read_back() {
        check(&[], 0, End::Clean);
        let file = file(&[b"one", b"", b"three"]);
        let (payloads, end) = scan(&file);
        let texts: Vec<_> = payloads.into_iter().map(|r| &file[r]).collect();
        assert_eq!((texts, end), (vec![&b"one"[..], b"", b"three"], End::Clean));
    }

    #[test]
    fn every_cut_is_a_torn_end() {
        let whole = file(&[b"first", b"second"]);
        let first = HEADER + 6;
        for n in 1..whole.len() {
            let (frames, end) = match n {
                n if n < first => (0, End::Torn { offset: 0 }),
                n if n == first => (1, End::Clean),
                _ => (1, End::Torn { offset: first }),
            };
            check(&whole[..n], frames, end);
        }
    }

    #[test]
    fn every_flipped_bit_is_damage_even_in_the_last_frame() {
        let whole = file(&[b"first frame", b"the second frame", b"the last frame of the file"]);
        let starts = [0, HEADER + 12, HEADER * 2 + 12 + 17];
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let frames = starts.iter().filter(|s| **s <= at).count() - 1;
                check(&damaged, frames, End::Damaged { offset: starts[frames] });
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn() {
        let mut zeros = file(&[b"first"]);
        let offset = zeros.len();
        zeros.extend([0; 2000]);
        check(&zeros, 1, End::Torn { offset });

        let mut half = file(&[b"first", &[7; 3000]]);
        half[1024..1536].fill(0);
        check(&half, 1, End::Torn { offset });
    }
}
