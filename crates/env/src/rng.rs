//! Randomness: the kernel's, or a seeded stream.

use std::fmt;

use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};

/// A source of random bytes. Real ones are cryptographically secure, so the same trait serves uids, jitter and keys.
pub trait Rng: Send + Sync + fmt::Debug {
    /// Fills `buf` with random bytes.
    fn fill(&self, buf: &mut [u8]);

    /// A uniformly random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut buf = [0; 8];
        self.fill(&mut buf);
        u64::from_le_bytes(buf)
    }

    /// A uniformly random number in `0..bound`; 0 when `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Rejection keeps the distribution exact; the zone is at least half of the range.
        let zone = u64::MAX - (u64::MAX % bound);
        loop {
            let value = self.next_u64();
            if value < zone {
                return value % bound;
            }
        }
    }

    /// A random (version 4) UUID in its usual text form.
    fn uuid(&self) -> String {
        let mut b = [0u8; 16];
        self.fill(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let mut out = String::with_capacity(36);
        for (i, byte) in b.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            for nibble in [byte >> 4, byte & 0xf] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        out
    }

    /// A random suffix over Kubernetes' alphabet for generated names (no vowels, no look-alikes).
    fn suffix(&self, len: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..len)
            .map(|_| {
                let i = usize::try_from(self.below(ALPHABET.len() as u64)).unwrap_or(0);
                char::from(ALPHABET[i])
            })
            .collect()
    }
}

/// The kernel's generator.
#[derive(Debug)]
pub struct SystemRng(SystemRandom);

impl SystemRng {
    #[allow(clippy::new_without_default, reason = "not a value with a meaningful default")]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Rng for SystemRng {
    fn fill(&self, buf: &mut [u8]) {
        self.0.fill(buf).expect("the kernel's random source never fails after boot");
    }
}

/// SplitMix64 from a seed: for simulation only, never for keys.
#[derive(Debug)]
pub struct SeededRng(Mutex<u64>);

impl SeededRng {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Rng for SeededRng {
    fn fill(&self, buf: &mut [u8]) {
        let mut state = self.0.lock();
        for chunk in buf.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}
