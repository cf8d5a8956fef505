//! Statements of a plan that wait to be run together: nobody reads what they answer but how many rows they touched.
//!
//! Nothing is run here.

use crate::db::{Arg, Statement};
use crate::sqlite;
use crate::statement::is_same;

/// The statements of one plan, each with the conflict that it is if it touches no row.
#[derive(Default)]
pub(super) struct Bundle(Vec<(&'static str, Vec<Arg>, Option<&'static str>)>);

impl Bundle {
    pub(super) fn push(&mut self, sql: &'static str, args: Vec<Arg>, or: Option<&'static str>) {
        self.0.push((sql, args, or));
    }

    pub(super) fn into_statements(self) -> impl Iterator<Item = (Statement, Option<&'static str>)> {
        self.0.into_iter().map(|(sql, args, or)| (Statement::new(sql, args), or))
    }

    fn is_like(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|((own, ..), (other, ..))| is_same(own, other))
    }
}

/// Bundles in their order, in parts that become one text each.
pub(super) fn parts(bundles: Vec<Bundle>) -> Vec<Vec<Bundle>> {
    let lengths: Vec<usize> = bundles.chunk_by(Bundle::is_like).flat_map(|alike| sqlite::parts(alike.len())).collect();
    let mut bundles = bundles.into_iter();
    lengths.into_iter().map(|length| bundles.by_ref().take(length).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::args;

    fn bundle(texts: &[&'static str]) -> Bundle {
        let mut bundle = Bundle::default();
        for sql in texts {
            bundle.push(sql, args![], None);
        }
        bundle
    }

    #[test]
    fn only_neighbours_that_are_alike_become_one_text_and_few_lengths_are_made() {
        let (one, other) = (["a", "b"], ["a"]);
        let mut bundles: Vec<Bundle> = (0..15).map(|_| bundle(&one)).collect();
        bundles.extend([bundle(&other), bundle(&one), bundle(&one), bundle(&one)]);
        let lengths: Vec<(usize, usize)> = parts(bundles)
            .into_iter()
            .map(|part| (part.len(), part.into_iter().flat_map(Bundle::into_statements).count()))
            .collect();
        assert_eq!(lengths, [(8, 16), (7, 14), (1, 1), (3, 6)]);
        assert!(parts(Vec::new()).is_empty());
    }
}
