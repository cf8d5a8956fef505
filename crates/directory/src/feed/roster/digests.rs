//! Names as digests, and which groups each of them is in: some twenty octets for a membership.
//!
//! A digest is 128 bits under keys of this process's own, so that nobody can make two names look alike.

use std::hash::{BuildHasher, RandomState};

/// Makes digests.
#[derive(Debug, Default, Clone)]
pub(super) struct Digests([RandomState; 2]);

/// 128 bits.
pub(super) type Digest = [u32; 4];

impl Digests {
    pub(super) fn of(&self, name: &str) -> Digest {
        let [first, second] = self.0.each_ref().map(|state| state.hash_one(name));
        #[expect(clippy::cast_possible_truncation, reason = "the halves of the number, each as it is")]
        let halves = |whole: u64| [(whole >> 32) as u32, whole as u32];
        let ([a, b], [c, d]) = (halves(first), halves(second));
        [a, b, c, d]
    }
}

/// A digest and a group.
type Pair = [u32; 5];

/// Pairs being collected.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    pub(super) fn add(&mut self, digest: Digest, group: u32) {
        let [a, b, c, d] = digest;
        if self.0.len() == self.0.capacity() {
            // Doubling would take twice what there is.
            self.0.reserve_exact((self.0.len() / 4).max(1024));
        }
        self.0.push([a, b, c, d, group]);
    }

    pub(super) fn index(self) -> Index {
        Index::new(self.0)
    }
}

/// Pairs in order, and where to look among them.
#[derive(Debug, Default)]
pub(super) struct Index {
    pairs: Vec<Pair>,
    /// Where those begin whose first bits are this number; one more for the end.
    begins: Vec<u32>,
    shift: u32,
}

/// Pairs in one bucket, about.
const BUCKET: usize = 8;

impl Index {
    fn new(mut pairs: Vec<Pair>) -> Self {
        pairs.sort_unstable();
        pairs.dedup();
        pairs.shrink_to_fit();
        let bits = (pairs.len() / BUCKET).max(1).ilog2().clamp(1, 28);
        let shift = u32::BITS - bits;
        let buckets = 1usize << bits;
        let mut begins = Vec::with_capacity(buckets + 1);
        for (at, pair) in pairs.iter().enumerate() {
            let bucket = (pair[0] >> shift) as usize;
            while begins.len() <= bucket {
                begins.push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        begins.resize(buckets + 1, u32::try_from(pairs.len()).unwrap_or(u32::MAX));
        Self { pairs, begins, shift }
    }

    /// The groups of a digest, in order.
    pub(super) fn get(&self, digest: Digest) -> impl Iterator<Item = u32> + '_ {
        let bucket = (digest[0] >> self.shift.min(31)) as usize;
        let begin = self.begins.get(bucket).map_or(0, |at| *at as usize);
        let end = self.begins.get(bucket + 1).map_or(0, |at| *at as usize);
        let bucket = self.pairs.get(begin..end).unwrap_or_default();
        bucket.iter().filter(move |pair| pair.starts_with(&digest)).map(|pair| pair[4])
    }

    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        self.pairs.capacity() * size_of::<Pair>() + self.begins.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let digests = Digests::default();
        for size in [0u32, 1, 2, 7, 100, 5000] {
            let mut pairs = Pairs::default();
            for number in 0..size {
                for group in [number % 7, number % 3, number % 7] {
                    pairs.add(digests.of(&number.to_string()), group);
                }
            }
            let index = pairs.index();
            for number in 0..size {
                let found: Vec<_> = index.get(digests.of(&number.to_string())).collect();
                let mut expected = vec![number % 7, number % 3];
                expected.sort_unstable();
                expected.dedup();
                assert_eq!(found, expected, "{number} of {size}");
            }
            assert_eq!(index.get(digests.of("nobody")).count(), 0);
        }
        assert_eq!(Index::default().get(digests.of("x")).count(), 0);
    }

    #[test]
    fn a_membership_takes_twenty_octets() {
        let digests = Digests::default();
        let mut pairs = Pairs::default();
        for number in 0..100_000u32 {
            pairs.add(digests.of(&number.to_string()), number % 100);
        }
        assert!(pairs.index().octets() < 100_000 * 22);
    }
}
