//! What a sync takes, as a ratio of `ldapsearch -E pr` over the same entries and attributes, in one run; what ten
//! changes take; and how long after a change in the directory a request is refused.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Bindery, Postgres, Slapd};
use serde_json::Value;
use tokio::time::Instant;

const PEOPLE: &str = "ou=people,dc=example,dc=test";
const GROUPS: &str = "ou=groups,dc=example,dc=test";
/// Each person is in about so many groups.
const EACH: usize = 3;
const ROUNDS: usize = 3;
const READ: &[&str] = &["uid", "entryUUID", "givenName", "sn", "mail", "displayName", "cn"];

pub(crate) fn run(users: usize) -> Result<()> {
    let groups = (users / 20).max(1);
    println!("\nSync of {users} people in {EACH} of {groups} groups each, from slapd");
    let slapd = Slapd::builder().ldif(&directory(users, groups)).syncprov().start();
    let mut floor = (0..ROUNDS).map(|_| ldapsearch(&slapd, users, groups)).collect::<Result<Vec<_>>>()?;
    let floor = median(&mut floor);
    println!("  {:<42} {:>8.2} s", "ldapsearch -E pr=1000, both (the floor)", floor.as_secs_f64());
    let bindery = on("SQLite", "sqlite:bench.db", &slapd, floor, 4.0, users)?;
    let file = bindery.path().join("bench.db");
    size(file.metadata().context("the size of the database")?.len());
    let (postgres, store) = (Postgres::start(), Postgres::start().database());
    on("PostgreSQL", &store, &slapd, floor, 6.0, users)?;
    size(postgres.sql_in(&store, "SELECT pg_database_size(current_database())").trim().parse()?);
    Ok(())
}

fn size(octets: u64) {
    println!("    {:<40} {:>8} MB", "database", octets >> 20);
}

fn on(name: &str, store: &str, slapd: &Slapd, floor: Duration, wanted: f64, users: usize) -> Result<Bindery> {
    println!("  {name}");
    let bindery = Bindery::new(&config(store, slapd));
    let first = sync(&bindery, &["sync", "bench", "--full"])?;
    ensure!(first.report["users"]["created"].as_u64() >= Some(users as u64), "{}", first.report);
    first.tell("first full run", floor, Some(wanted));
    let mut same = (0..ROUNDS).map(|_| sync(&bindery, &["sync", "bench", "--full"])).collect::<Result<Vec<_>>>()?;
    same.sort_by_key(|run| run.took);
    let same = same.swap_remove(same.len() / 2);
    ensure!(same.report["users"]["unchanged"].as_u64() >= Some(users as u64), "{}", same.report);
    same.tell("full run, nothing changed", floor, Some(1.5));
    let mut ldif = String::new();
    for number in 0..10 {
        let number = number * (users / 10).max(1) % users;
        let _ = write!(ldif, "dn: uid=p{number:07},{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: {name}{number}\n\n");
    }
    slapd.ldapmodify(&ldif);
    let ten = sync(&bindery, &["sync", "bench"])?;
    ensure!(ten.report["mode"] == "incremental", "{}", ten.report);
    println!(
        "    {:<40} {:>8} ms of work   (wanted: below 100)",
        format!("{} changes, incremental", ten.report["users"]["updated"]),
        ten.report["duration_ms"],
    );
    Ok(bindery)
}

struct Ran {
    report: Value,
    took: Duration,
    peak: f64,
}

impl Ran {
    fn tell(&self, what: &str, floor: Duration, wanted: Option<f64>) {
        let ratio = self.took.as_secs_f64() / floor.as_secs_f64();
        let wanted = wanted.map(|wanted| format!("   (wanted: at most {wanted})")).unwrap_or_default();
        println!(
            "    {what:<40} {:>8.2} s   {ratio:>5.2} of the floor{wanted}   {:>4.0} MB at most",
            self.took.as_secs_f64(),
            self.peak,
        );
    }
}

/// Runs a sync as a process of its own, and asks the system for the most memory it took.
fn sync(bindery: &Bindery, arguments: &[&str]) -> Result<Ran> {
    let begin = Instant::now();
    let child = bindery
        .command()
        .args(["--format", "json"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("run bindery sync")?;
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0.0;
        // The high-water mark only grows: the last one that could be read is it, to a hundredth of a second.
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kilobytes) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()) else {
                break;
            };
            peak = kilobytes / 1024.0;
            std::thread::sleep(Duration::from_millis(10));
        }
        peak
    });
    let output = child.wait_with_output()?;
    let took = begin.elapsed();
    ensure!(output.status.success(), "sync: {}", String::from_utf8_lossy(&output.stdout));
    let peak = watch.join().unwrap_or_default();
    Ok(Ran { report: serde_json::from_slice(&output.stdout)?, took, peak })
}

fn config(store: &str, slapd: &Slapd) -> String {
    format!(
        "[store]\nurl = \"{store}\"\n\n[sources.bench]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\n\n\
         [sources.bench.users]\nbase_dn = \"{PEOPLE}\"\n\n[sources.bench.groups]\nbase_dn = \"{GROUPS}\"\nmirror = true\n\n\
         [sources.bench.bind]\ndn = \"{}\"\npassword = \"{}\"\n",
        slapd.url(),
        Slapd::SUFFIX,
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD
    )
}

/// People and groups as LDIF; the same at each run.
fn directory(users: usize, groups: usize) -> String {
    let mut ldif = String::with_capacity(users * 400);
    for number in 0..users {
        let _ = write!(
            ldif,
            "dn: uid=p{number:07},{PEOPLE}\nobjectClass: inetOrgPerson\nuid: p{number:07}\ncn: Person {number}\n\
             sn: Number{number}\ngivenName: Person\nmail: p{number:07}@example.test\n\
             title: Clerk\nemployeeNumber: {number}\ntelephoneNumber: +1 555 {number:07}\n\n",
        );
    }
    let mut members = vec![BTreeSet::new(); groups];
    for number in 0..users {
        // Neighbours in one group, strangers in the others; by accident one of them may be the same.
        for group in [number % groups, (number * 7 + 1) % groups, (number / groups + number / 3) % groups] {
            if let Some(members) = members.get_mut(group) {
                members.insert(number);
            }
        }
    }
    for (group, members) in members.iter().enumerate() {
        let _ = write!(ldif, "dn: cn=g{group:06},{GROUPS}\nobjectClass: groupOfNames\ncn: g{group:06}\n");
        for number in members {
            let _ = writeln!(ldif, "member: uid=p{number:07},{PEOPLE}");
        }
        ldif.push('\n');
    }
    ldif
}

/// The same entries and attributes as a sync reads, in the same pages.
fn ldapsearch(slapd: &Slapd, users: usize, groups: usize) -> Result<Duration> {
    let begin = Instant::now();
    let people = pages(slapd, PEOPLE, "(objectClass=inetOrgPerson)", READ)?;
    let listed = pages(slapd, GROUPS, "(objectClass=groupOfNames)", &["cn", "entryUUID", "member"])?;
    let took = begin.elapsed();
    ensure!(people >= users && listed >= groups, "ldapsearch found {people} people and {listed} groups");
    Ok(took)
}

fn pages(slapd: &Slapd, base: &str, filter: &str, attributes: &[&str]) -> Result<usize> {
    let mut command = Command::new("ldapsearch");
    command.env("LDAPNOINIT", "1").args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &slapd.url()]);
    command.args(["-D", Slapd::SYNC_DN, "-w", Slapd::SYNC_PASSWORD, "-b", base, "-E", "pr=1000/noprompt", filter]);
    let output = command.args(attributes).stderr(Stdio::inherit()).output().context("run ldapsearch")?;
    Ok(output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"dn: ")).count())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
