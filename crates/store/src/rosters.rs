//! What each directory group listed when it was last read.
//!
//! A roster is a copy of the directory's own words: it gives nobody anything.

use std::collections::BTreeMap;

use crate::db::{Arg, Row, args};
use crate::many::Many;
use crate::{Store, StoreError, guard};

/// What a directory group listed when it was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// The group entry's immutable identifier.
    pub unique_id: String,
    /// The group entry's DN, normalised for comparison.
    pub dn_key: String,
    /// Whatever else the reader needs of the entry, in a form of its own.
    pub head: String,
    /// The members' keys, in the reader's order. None may be empty or contain a newline.
    pub members: Vec<String>,
}

impl Roster {
    /// Sixteen bytes over everything but the unique ID: equal for equal rosters.
    pub fn digest(&self) -> [u8; 16] {
        Self::digest_of(&self.dn_key, &self.head, self.members.iter().map(String::as_str))
    }

    /// The digest of a roster that is made of these.
    pub fn digest_of<'a>(dn_key: &'a str, head: &'a str, members: impl Iterator<Item = &'a str>) -> [u8; 16] {
        let mut hash = blake3::Hasher::new();
        // Lengths first, so that no text can be mistaken for two.
        for part in [dn_key, head].into_iter().chain(members) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut digest = [0; 16];
        hash.finalize_xof().fill(&mut digest);
        digest
    }

    /// Whether it can be kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] as [`Store::put_rosters`] has it.
    pub fn check(&self) -> Result<(), StoreError> {
        guard::name("unique ID", &self.unique_id)?;
        guard::text("DN", &self.dn_key)?;
        guard::text("head", &self.head)?;
        self.members.iter().try_for_each(|member| {
            guard::text("member", member)?;
            let wrong = |reason| Err(StoreError::Invalid { field: "member".to_owned(), reason });
            match member.as_str() {
                "" => wrong("it is empty"),
                key if key.contains('\n') => wrong("it contains a newline"),
                _ => Ok(()),
            }
        })
    }
}

impl Row {
    fn roster(&self) -> Result<Roster, StoreError> {
        let members: String = self.get("members")?;
        Ok(Roster {
            unique_id: self.get("unique_id")?,
            dn_key: self.get("dn_key")?,
            head: self.get("head")?,
            members: members.split('\n').filter(|member| !member.is_empty()).map(str::to_owned).collect(),
        })
    }
}

impl Store {
    /// The rosters of these groups, those that there are, in no particular order.
    pub async fn rosters(&self, source: &str, unique_ids: &[String]) -> Result<Vec<Roster>, StoreError> {
        let mut rosters = Vec::with_capacity(unique_ids.len());
        let ids: Vec<Arg> = unique_ids.iter().filter(|id| guard::findable(id)).map(Arg::from).collect();
        let sql = "SELECT unique_id, dn_key, head, members FROM rosters WHERE source = $1 AND unique_id IN ({})";
        for row in self.db.look_up(sql, &[Arg::from(source)], &ids).await? {
            rosters.push(row.roster()?);
        }
        Ok(rosters)
    }

    /// Every roster of a source with [`Roster::digest`], so that only those that changed are written.
    pub async fn roster_ids(&self, source: &str) -> Result<Vec<(String, [u8; 16])>, StoreError> {
        let sql = "SELECT unique_id, digest FROM rosters WHERE source = $1 ORDER BY unique_id";
        let pair = |row: &Row| {
            let digest: Vec<u8> = row.get("digest")?;
            let digest = digest.try_into().map_err(|_| row.corrupt("rosters.digest", "not 16 bytes"))?;
            Ok((row.get("unique_id")?, digest))
        };
        self.db.many_rows(sql, args![source]).await?.iter().map(pair).collect()
    }

    /// Writes rosters, new ones and others in place of what was there. Each is written whole; of two for one group the
    /// last counts.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] for a member that is empty or has a newline, or a text with NUL; then nothing was written.
    pub async fn put_rosters(&self, source: &str, rosters: &[Roster]) -> Result<(), StoreError> {
        guard::name("source", source)?;
        rosters.iter().try_for_each(Roster::check)?;
        let last: BTreeMap<&str, &Roster> = rosters.iter().map(|roster| (roster.unique_id.as_str(), roster)).collect();
        let last: Vec<&Roster> = last.into_values().collect();
        for part in last.chunks(PART) {
            let mut tx = self.db.begin().await?;
            let row = |roster: &&Roster| {
                args![
                    source,
                    &roster.unique_id,
                    &roster.dn_key,
                    &roster.head,
                    roster.members.join("\n"),
                    roster.digest().as_slice(),
                ]
            };
            tx.write(PUT, &[], part.iter().map(row).collect()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Forgets every roster of a source, whether or not it can be read.
    pub async fn forget_rosters(&self, source: &str) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        tx.execute("DELETE FROM rosters WHERE source = $1", args![source]).await?;
        tx.commit().await
    }

    /// Forgets rosters. Answers how many there were.
    pub async fn drop_rosters(&self, source: &str, unique_ids: &[String]) -> Result<u64, StoreError> {
        let ids: Vec<Arg> = unique_ids.iter().filter(|id| guard::findable(id)).map(Arg::from).collect();
        let mut tx = self.db.begin().await?;
        let sql = "DELETE FROM rosters WHERE source = $1 AND unique_id IN ({}) RETURNING unique_id";
        let dropped = tx.look_up(sql, &[Arg::from(source)], &ids).await?.len();
        tx.commit().await?;
        Ok(dropped as u64)
    }
}

/// Rosters of one transaction: others write too.
const PART: usize = 500;

const PUT: Many = Many {
    head: "INSERT INTO rosters (source, unique_id, dn_key, head, members, digest) ",
    lead: 0,
    columns: 6,
    tail: " ON CONFLICT (source, unique_id) DO UPDATE SET dn_key = excluded.dn_key, head = excluded.head, \
           members = excluded.members, digest = excluded.digest",
};
