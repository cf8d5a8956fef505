//! How long after a change in the directory a request is refused, on each of two replicas over PostgreSQL, one of which
//! follows the directory.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bindery_tests::{Bindery, Postgres, Serving, Slapd};
use tokio::time::Instant;

use crate::directory::PASSWORD;
use crate::http::{Client, get, sign_in};

const PEOPLE: &str = "ou=people,dc=example,dc=test";
const GROUP: &str = "cn=app,ou=groups,dc=example,dc=test";
const CHANGES: usize = 100;
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run() -> Result<()> {
    println!("\nFrom sending a change to the directory to the first refused request (wanted: 99 of 100 within 1 s)");
    let slapd = Slapd::builder().ldif(&directory()).syncprov().start();
    let bindery = Bindery::new(&config(&Postgres::start().database(), &slapd));
    let replicas = [bindery.serve(), bindery.serve()];
    let mut followed = vec![Vec::with_capacity(CHANGES); replicas.len()];
    let warm = shut_out(&slapd, &replicas, CHANGES).await?;
    println!("  {:<34} {:>6.0} ms at most", "the first, once live follows", millis(warm.iter().max()));
    for number in 0..CHANGES {
        let took = shut_out(&slapd, &replicas, number).await?;
        followed.iter_mut().zip(took).for_each(|(all, one)| all.push(one));
    }
    for (number, mut took) in followed.into_iter().enumerate() {
        took.sort_unstable();
        println!(
            "  {:<34} median {:>4.0} ms   99th of {CHANGES} {:>4.0} ms   longest {:>4.0} ms",
            format!("replica {}", number + 1),
            millis(took.get(CHANGES / 2)),
            millis(took.get(CHANGES * 99 / 100 - 1)),
            millis(took.last()),
        );
    }
    Ok(())
}

/// Signs somebody in, takes them out of the required group or deletes them, and asks both replicas until they refuse.
async fn shut_out(slapd: &Slapd, replicas: &[Serving], number: usize) -> Result<Vec<Duration>> {
    let mut clients = Vec::new();
    for replica in replicas {
        clients.push(Client::connect(replica.port()).await?);
    }
    let turn = number % clients.len();
    let first = clients.get_mut(turn).context("a replica")?;
    let answer = first.send(&sign_in(&uid(number), PASSWORD)).await?;
    ensure!(answer.status == 200, "sign-in: {} {}", answer.status, answer.body);
    let me = get("/api/v1/me", Some(&answer.session.context("a session cookie")?));
    for client in &mut clients {
        client.expect(&me, 200).await?;
    }
    let change = if number.is_multiple_of(2) {
        format!("dn: {GROUP}\nchangetype: modify\ndelete: member\nmember: {}\n", dn(number))
    } else {
        format!("dn: {}\nchangetype: delete\n", dn(number))
    };
    let began = Instant::now();
    slapd.ldapmodify(&change);
    let mut took = vec![None; clients.len()];
    while took.iter().any(Option::is_none) {
        ensure!(began.elapsed() < PATIENCE, "still not refused after {PATIENCE:?}");
        for (client, took) in clients.iter_mut().zip(&mut took).filter(|(_, took)| took.is_none()) {
            if client.send(&me).await?.status == 401 {
                *took = Some(began.elapsed());
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(took.into_iter().flatten().collect())
}

fn millis(time: Option<&Duration>) -> f64 {
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

fn config(store: &str, slapd: &Slapd) -> String {
    format!(
        "[server]\npublic_url = \"http://localhost\"\n\n[store]\nurl = \"{store}\"\n\n\
         [sources.bench]\npreset = \"openldap\"\nservers = [\"{}\"]\nbase_dn = \"{}\"\n\n\
         [sources.bench.users]\nbase_dn = \"{PEOPLE}\"\n\n\
         [sources.bench.groups]\nbase_dn = \"ou=groups,dc=example,dc=test\"\n\n\
         [sources.bench.access]\nrequire = \"app\"\n\n\
         [sources.bench.sync]\nlive = true\nremoval_limit = {{ percent = 100 }}\n\n\
         [sources.bench.bind]\ndn = \"{}\"\npassword = \"{}\"\n",
        slapd.url(),
        Slapd::SUFFIX,
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD
    )
}

fn directory() -> String {
    let (mut ldif, mut members) = (String::new(), String::new());
    for number in 0..=2 * CHANGES {
        let _ = write!(
            ldif,
            "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: Person {number}\nsn: Number{number}\n\
             userPassword: {{SSHA}}6UA2Q85IoX0ASvbHBXTOchFfzXJzYWx0YW5uMQ==\n\n",
            dn = dn(number),
            uid = uid(number),
        );
        let _ = writeln!(members, "member: {}", dn(number));
    }
    let _ = write!(ldif, "dn: {GROUP}\nobjectClass: groupOfNames\ncn: app\n{members}\n");
    ldif
}

fn uid(number: usize) -> String {
    format!("p{number:05}")
}

fn dn(number: usize) -> String {
    format!("uid={},{PEOPLE}", uid(number))
}
