//! What a sync does to the store: a first run, one where everybody changed, one where nobody did; and how long others
//! wait for the writer meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_store::{
    Change, EntityKind, Expected, Field, GroupRef, Link, NewGroup, NewUser, Plan, Roster, SnapshotRequest, Store,
    StoreUrl,
};
use bindery_tests::Postgres;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

const SOURCE: &str = "corp";
const BATCH: usize = 1000;
const GROUPS: usize = 5000;
const EACH: usize = 3;

pub(crate) async fn run(users: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite:{}", folder.path().join("bindery.db").display());
    on("SQLite", &file, users).await?;
    let postgres = Postgres::start();
    on("PostgreSQL", &postgres.database(), users).await
}

async fn on(name: &str, url: &str, users: usize) -> Result<()> {
    println!("\nStore on {name}: {users} users, {GROUPS} groups, {EACH} memberships each, {BATCH} plans a batch");
    let store = Store::open(&StoreUrl::parse(url)?).await?;
    let other = Others::start(&store).await?;
    let groups: Vec<Uuid> = (0..GROUPS).map(group_id).collect();
    let plans = (0..GROUPS).map(|n| Plan::from(vec![Change::CreateGroup(group(n)), Change::Link(group_link(n))]));
    clocked("new groups with a link", apply(&store, plans)).await?;
    clocked("new users", apply(&store, (0..users).map(|n| created(n, &groups)))).await?;
    clocked("synced_links, all", links(&store, users)).await?;
    clocked("snapshots, all", snapshots(&store, users)).await?;
    clocked("changed users, one field", apply(&store, (0..users).map(renamed))).await?;
    clocked("changed users, one membership", apply(&store, (0..users).map(|n| moved(n, &groups)))).await?;
    clocked("mark_seen", async {
        store.mark_seen(SOURCE, EntityKind::User, now(), &[]).await?;
        Ok(())
    })
    .await?;
    clocked("all_groups", async {
        ensure!(store.all_groups().await?.len() == GROUPS, "a group is missing");
        Ok(())
    })
    .await?;
    clocked("count_memberships", async {
        ensure!(store.count_memberships(&SOURCE.into()).await? == (users * EACH) as u64, "a membership is missing");
        Ok(())
    })
    .await?;
    let rosters: Vec<Roster> = (0..GROUPS).map(roster).collect();
    clocked("put_rosters", async {
        store.put_rosters(SOURCE, &rosters).await?;
        Ok(())
    })
    .await?;
    clocked("roster_ids", async {
        ensure!(store.roster_ids(SOURCE).await?.len() == GROUPS, "a roster is missing");
        Ok(())
    })
    .await?;
    let ids: Vec<String> = (0..GROUPS).map(|n| format!("group-{n}")).collect();
    clocked("rosters", async {
        ensure!(store.rosters(SOURCE, &ids).await?.len() == GROUPS, "a roster is missing");
        Ok(())
    })
    .await?;
    let dns: Vec<String> = (0..1000).map(|n| dn(n * users / 1000)).collect();
    clocked("links_by_dn_key, 1000", async {
        let found = store.links_by_dn_key(SOURCE, EntityKind::User, &dns).await?;
        ensure!(found.len() == dns.len(), "a link is missing");
        Ok(())
    })
    .await?;
    other.stop().await?;
    store.close().await;
    Ok(())
}

async fn clocked(what: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
    let (begun, cpu) = (Instant::now(), cpu()?);
    work.await?;
    println!("  {what:<34} {:>9.3} s {:>9.2} s of our CPU", begun.elapsed().as_secs_f64(), self::cpu()? - cpu);
    Ok(())
}

/// Seconds of processor that this process has used, SQLite included: what remains comparable on a machine that others
/// use as well.
fn cpu() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| -> Result<f64> { Ok(after_name.split_whitespace().nth(field).unwrap_or("0").parse()?) };
    // utime and stime, in hundredths of a second: proc(5).
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

async fn apply(store: &Store, plans: impl Iterator<Item = Plan>) -> Result<()> {
    let mut plans = plans.peekable();
    while plans.peek().is_some() {
        let batch: Vec<Plan> = plans.by_ref().take(BATCH).collect();
        for result in store.apply_batch(&batch, now()).await? {
            result?;
        }
    }
    Ok(())
}

async fn links(store: &Store, users: usize) -> Result<()> {
    let mut seen = 0;
    let mut each = |_| seen += 1;
    store.synced_links(SOURCE, EntityKind::User, &mut each).await?;
    ensure!(seen == users, "{seen} links");
    Ok(())
}

async fn snapshots(store: &Store, users: usize) -> Result<()> {
    for from in (0..users).step_by(BATCH) {
        let request = |n| SnapshotRequest {
            source: SOURCE.to_owned(),
            unique_id: unique_id(n),
            username_key: format!("user{n}"),
            ..SnapshotRequest::default()
        };
        let requests: Vec<_> = (from..users.min(from + BATCH)).map(request).collect();
        let found = store.snapshots(&requests).await?;
        ensure!(found.iter().all(|snapshot| snapshot.linked.is_some()), "somebody is missing");
    }
    Ok(())
}

/// Somebody else who writes all the time, as people who sign in do.
struct Others {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<Vec<Duration>>>,
}

impl Others {
    async fn start(store: &Store) -> Result<Self> {
        let user = NewUser { id: Uuid::from_u128(1), ..named("somebody else") };
        store.apply(&Plan::from(vec![Change::CreateUser(user)]), now()).await?;
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let store = store.clone();
        let task = tokio::spawn(async move {
            let mut waits = Vec::new();
            while stopped.try_recv().is_err() {
                let plan = Plan {
                    changes: vec![Change::SignedIn { user: Uuid::from_u128(1) }],
                    expected: vec![Expected { user: Uuid::from_u128(1), version: 1 }],
                };
                let begun = Instant::now();
                store.apply(&plan, now()).await?;
                waits.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(waits)
        });
        Ok(Self { stop, task })
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        let mut waits = self.task.await??;
        waits.sort_unstable();
        let at = |percent: usize| waits.get(waits.len() * percent / 100).map_or(0.0, Duration::as_secs_f64) * 1000.0;
        let longest = waits.last().map_or(0.0, Duration::as_secs_f64) * 1000.0;
        let count = waits.len();
        println!(
            "  others' writes meanwhile: {count}, median {:.1} ms, 99 % {:.1} ms, longest {longest:.1} ms",
            at(50),
            at(99)
        );
        Ok(())
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default()
}

/// Ordered by time and otherwise scattered, as the engine makes them.
fn id(n: usize) -> Uuid {
    let mut x = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    Uuid::from_u128(((0x0190_0000_0000 + n as u128 / 50) << 80) | (7 << 76) | u128::from(x))
}

fn group_id(n: usize) -> Uuid {
    id(n + 100_000_000)
}

/// As entryUUID is: scattered all over.
fn unique_id(n: usize) -> String {
    let x = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Uuid::from_u128(x).to_string()
}

fn dn(n: usize) -> String {
    format!("uid=user{n},ou=people,ou=department {},dc=example,dc=com", n % 100)
}

fn named(name: &str) -> NewUser {
    NewUser { username: name.to_owned(), username_key: name.to_owned(), ..NewUser::default() }
}

fn group(n: usize) -> NewGroup {
    let name = format!("group {n}");
    NewGroup { id: group_id(n), name_key: name.clone(), name, owner: SOURCE.into() }
}

fn group_link(n: usize) -> Link {
    let dn = format!("cn=group {n},ou=groups,dc=example,dc=com");
    Link { kind: EntityKind::Group, unique_id: format!("group-{n}"), entity_id: group_id(n), ..link_to(0, dn) }
}

fn link_to(n: usize, dn: String) -> Link {
    Link {
        kind: EntityKind::User,
        source: SOURCE.to_owned(),
        unique_id: unique_id(n),
        entity_id: id(n),
        dn_key: dn.clone(),
        dn,
        last_seen: now(),
        fingerprint: Some(vec![7; 32]),
        given_fields: ["first_name", "last_name", "email", "display_name"].map(str::to_owned).into(),
        ..Link::default()
    }
}

fn created(n: usize, groups: &[Uuid]) -> Plan {
    let user = NewUser {
        id: id(n),
        first_name: format!("First {n}"),
        last_name: format!("Last {n}"),
        email: format!("User{n}@example.com"),
        email_key: format!("user{n}@example.com"),
        display_name: format!("First {n} Last {n}"),
        profile: [("department".to_owned(), serde_json::json!(format!("department {}", n % 100)))]
            .into_iter()
            .collect(),
        ..named(&format!("user{n}"))
    };
    let mut changes = vec![Change::CreateUser(user), Change::Link(link_to(n, dn(n)))];
    changes.extend((0..EACH).map(|turn| join(n, groups[(n * 31 + turn * 977) % groups.len()])));
    Plan::from(changes)
}

fn join(n: usize, group: Uuid) -> Change {
    Change::AddMembership { user: id(n), group: GroupRef::Id(group), owner: SOURCE.into() }
}

fn relinked(n: usize, version: i64, change: Vec<Change>) -> Plan {
    let mut changes = change;
    changes.push(Change::UpdateLink(Link { fingerprint: Some(vec![8; 32]), ..link_to(n, dn(n)) }));
    Plan { changes, expected: vec![Expected { user: id(n), version }] }
}

fn renamed(n: usize) -> Plan {
    let fields = vec![Field::DisplayName(format!("Renamed {n}"))];
    relinked(n, 1, vec![Change::UpdateUser { user: id(n), fields }])
}

fn moved(n: usize, groups: &[Uuid]) -> Plan {
    let old = groups[n * 31 % groups.len()];
    let leave = Change::RemoveMembership { user: id(n), group: GroupRef::Id(old), owner: SOURCE.into() };
    relinked(n, 2, vec![leave, join(n, groups[(n * 31 + 1) % groups.len()])])
}

fn roster(n: usize) -> Roster {
    Roster {
        unique_id: format!("group-{n}"),
        dn_key: format!("cn=group {n},ou=groups,dc=example,dc=com"),
        head: format!("{{\"names\":[\"group {n}\"]}}"),
        members: (0..60).map(|m| dn(n * 60 + m)).collect(),
    }
}
