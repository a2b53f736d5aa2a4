//! Sets of node slots, one bit each. Words beyond the end count as zero, so sets of different lengths mix.

#[derive(Clone, Default)]
pub struct BitSet(Vec<u64>);

impl PartialEq for BitSet {
    fn eq(&self, other: &Self) -> bool {
        let n = self.0.len().max(other.0.len());
        (0..n).all(|i| self.word(i) == other.word(i))
    }
}

impl Eq for BitSet {}

impl std::fmt::Debug for BitSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<usize> for BitSet {
    fn from_iter<I: IntoIterator<Item = usize>>(slots: I) -> Self {
        let mut set = Self::default();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl BitSet {
    fn word(&self, i: usize) -> u64 {
        self.0.get(i).copied().unwrap_or(0)
    }

    pub fn insert(&mut self, slot: usize) {
        if self.0.len() <= slot / 64 {
            self.0.resize(slot / 64 + 1, 0);
        }
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    pub fn remove(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    pub fn set(&mut self, slot: usize, on: bool) {
        if on { self.insert(slot) } else { self.remove(slot) }
    }

    pub fn contains(&self, slot: usize) -> bool {
        self.word(slot / 64) & (1 << (slot % 64)) != 0
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    pub fn count(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps what is in both.
    pub fn and(&mut self, other: &Self) {
        for (i, word) in self.0.iter_mut().enumerate() {
            *word &= other.word(i);
        }
    }

    /// Removes what is in `other`.
    pub fn and_not(&mut self, other: &Self) {
        for (i, word) in self.0.iter_mut().enumerate() {
            *word &= !other.word(i);
        }
    }

    /// Adds what is in `other`.
    pub fn or(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            std::iter::successors((*word != 0).then_some(*word), |w| {
                let rest = w & (w - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |w| i * 64 + w.trailing_zeros() as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_behave_as_sets() {
        let a: BitSet = [0, 1, 63, 64, 200].into_iter().collect();
        let b: BitSet = [1, 64, 65].into_iter().collect();
        assert_eq!(a.iter().collect::<Vec<_>>(), [0, 1, 63, 64, 200]);
        assert_eq!((a.count(), a.contains(63), a.contains(62), a.contains(9999)), (5, true, false, false));
        let with = |f: fn(&mut BitSet, &BitSet), x: &BitSet, y: &BitSet| {
            let mut x = x.clone();
            f(&mut x, y);
            x.iter().collect::<Vec<_>>()
        };
        assert_eq!(with(BitSet::and, &a, &b), [1, 64]);
        assert_eq!(with(BitSet::and_not, &a, &b), [0, 63, 200]);
        assert_eq!(with(BitSet::or, &b, &a), [0, 1, 63, 64, 65, 200]);
        let mut c = b.clone();
        [1, 64, 65, 500].into_iter().for_each(|slot| c.remove(slot));
        assert!(c.is_empty());
        assert_eq!(c, BitSet::default());
    }
}
