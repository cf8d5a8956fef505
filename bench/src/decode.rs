//! How fast entries are read: decoding alone against `rasn-ldap`, and a whole directory in pages against `ldapsearch`.

use std::fmt::Write;
use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_ldap::codec::{MessageCodec, probe_response, protocol};
use bindery_ldap::{ConnectOptions, Connection, Dn, Filter, LdapUrl, Scope, SearchRequest};
use bindery_tests::Slapd;
use bytes::BytesMut;
use rasn::types::SetOf;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::codec::Encoder;

const PAGE: u32 = 1000;
const PEOPLE: &str = "ou=people,dc=example,dc=test";
/// Read in turns, so that what else the machine does hits both alike.
const ROUNDS: usize = 7;

/// The attributes of a person, about 1.4 kB with their names.
fn attributes(number: usize) -> Vec<(&'static str, Vec<String>)> {
    let one = |text: String| vec![text];
    let classes = ["top", "person", "organizationalPerson", "inetOrgPerson"];
    vec![
        ("objectClass", classes.map(str::to_owned).to_vec()),
        ("uid", one(format!("p{number:06}"))),
        ("cn", one(format!("Person Number {number}"))),
        ("sn", one(format!("Number {number}"))),
        ("givenName", one("Person".to_owned())),
        ("displayName", one(format!("Person Number {number}"))),
        ("mail", vec![format!("p{number:06}@example.test"), format!("person.{number}@mail.example.test")]),
        ("telephoneNumber", vec![format!("+1 555 {number:07}"), format!("+1 556 {number:07}")]),
        ("mobile", one(format!("+1 557 {number:07}"))),
        ("title", one("Principal Software Engineer".to_owned())),
        ("departmentNumber", one(format!("{}", number % 97))),
        ("employeeNumber", one(format!("E-{number}"))),
        ("employeeType", one("full-time".to_owned())),
        ("l", one("Lyon".to_owned())),
        ("physicalDeliveryOfficeName", one(format!("B{}", number % 40))),
        ("description", one(format!("{number} {}", "of those who work here and there. ".repeat(18)))),
    ]
}

/// Decoding by itself: nothing is sent, one thread.
pub(crate) fn alone(time: Duration) -> Result<()> {
    let message = message()?;
    println!("decode: one entry of {} octets, again and again", message.len());
    let mut best = [0f64; 2];
    for _ in 0..3 {
        let rasn = rate(time / 6, || drop(black_box(rasn::ber::decode::<protocol::LdapMessage>(&message))));
        let own = rate(time / 6, || drop(black_box(probe_response(&message, 1 << 20))));
        best = [best[0].max(rasn), best[1].max(own)];
    }
    println!("  {:<34} {:>9.0}/s", "rasn-ldap alone (floor)", best[0]);
    println!("  {:<34} {:>9.0}/s   {:.2} of the floor", "bindery-ldap", best[1], best[1] / best[0]);
    Ok(())
}

fn message() -> Result<BytesMut> {
    let attribute = |(name, values): (&str, Vec<String>)| {
        let values = values.into_iter().map(|value| value.into_bytes().into()).collect();
        protocol::PartialAttribute::new(name.into(), SetOf::from_vec(values))
    };
    let attributes = attributes(4711).into_iter().map(attribute).collect();
    let entry = protocol::SearchResultEntry::new(format!("uid=p004711,{PEOPLE}").into(), attributes);
    let mut buffer = BytesMut::new();
    let message = protocol::LdapMessage::new(7, protocol::ProtocolOp::SearchResEntry(entry));
    MessageCodec::default().encode(message, &mut buffer)?;
    Ok(buffer)
}

fn rate(time: Duration, mut once: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut count = 0u32;
    while begin.elapsed() < time {
        for _ in 0..1000 {
            once();
        }
        count += 1000;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// A directory of so many people, read whole.
pub(crate) async fn pages(users: usize) -> Result<()> {
    let mut ldif = String::with_capacity(users * 1600);
    for number in 0..users {
        let _ = writeln!(ldif, "dn: uid=p{number:06},{PEOPLE}");
        for (name, values) in attributes(number) {
            for value in values {
                let _ = writeln!(ldif, "{name}: {}", value.trim_end());
            }
        }
        ldif.push('\n');
    }
    let slapd = Slapd::builder().ldif(&ldif).start();
    drop(ldif);
    let options = ConnectOptions::new(LdapUrl::parse(&slapd.url())?);
    println!("decode: {users} people in pages of {PAGE}, from slapd, {ROUNDS} rounds in turns");
    let (mut floor, mut own) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floor.push(ldapsearch(&slapd, users)?);
        own.push(paged(&options, users).await?);
    }
    let (floor, own) = (median(floor), median(own));
    let rate = |took: Duration| users as f64 / took.as_secs_f64();
    println!("  {:<34} {:>9.0}/s   {:>6.2} s", "ldapsearch -E pr (floor)", rate(floor), floor.as_secs_f64());
    println!(
        "  {:<34} {:>9.0}/s   {:>6.2} s   {:.2} of the floor's time",
        "bindery-ldap",
        rate(own),
        own.as_secs_f64(),
        own.as_secs_f64() / floor.as_secs_f64()
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ldapsearch(slapd: &Slapd, users: usize) -> Result<Duration> {
    let begin = Instant::now();
    let mut command = Command::new("ldapsearch");
    command.env("LDAPNOINIT", "1").args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", &slapd.url()]);
    command.args(["-D", Slapd::SYNC_DN, "-w", Slapd::SYNC_PASSWORD, "-b", PEOPLE]);
    command.args(["-E", &format!("pr={PAGE}/noprompt"), "(objectClass=inetOrgPerson)"]);
    let output = command.stderr(Stdio::inherit()).output().context("run ldapsearch")?;
    let took = begin.elapsed();
    let found = output.stdout.windows(5).filter(|window| *window == b"\ndn: ").count();
    ensure!(found >= users - 1, "ldapsearch found {found}");
    Ok(took)
}

async fn paged(options: &ConnectOptions, users: usize) -> Result<Duration> {
    let begin = Instant::now();
    let connection = Connection::open(options).await?;
    let (result, _) = connection.bind_simple(Slapd::SYNC_DN, &SecretString::from(Slapd::SYNC_PASSWORD)).await?;
    ensure!(result.is_success(), "service bind: {result}");
    let request =
        SearchRequest::new(&Dn::parse(PEOPLE)?, Scope::Subtree, Filter::equal("objectClass", "inetOrgPerson"));
    let mut pages = connection.search_paged(request, PAGE);
    let mut found = 0;
    let mut complete = false;
    while let Some(page) = pages.next_page().await? {
        complete = page.completes();
        found += black_box(page.entries).len();
    }
    let took = begin.elapsed();
    ensure!(complete && found >= users, "found {found}");
    Ok(took)
}
