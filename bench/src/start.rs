//! From start to `/readyz` with SQLite, and what the idle server holds in memory.

use std::time::Duration;

use anyhow::{Context, Result};
use bindery_tests::{Bindery, Slapd};
use tokio::time::Instant;

pub(crate) async fn run() -> Result<()> {
    println!("\nStart (wanted: ready within 100 ms with SQLite, idle below 30 MB)");
    let slapd = Slapd::start();
    let config = format!(
        "[store]\nurl = \"sqlite:bench.db\"\n\n[sources.bench]\npreset = \"openldap\"\nservers = [\"{}\"]\n\
         base_dn = \"{}\"\n\n[sources.bench.bind]\ndn = \"{}\"\npassword = \"{}\"\n",
        slapd.url(),
        Slapd::SUFFIX,
        Slapd::SYNC_DN,
        Slapd::SYNC_PASSWORD
    );
    let mut fresh = Vec::new();
    let mut again = Vec::new();
    let mut memory = 0.0;
    for _ in 0..9 {
        let bindery = Bindery::new(&config);
        for times in [&mut fresh, &mut again] {
            let begin = Instant::now();
            let server = bindery.serve();
            times.push(begin.elapsed());
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory = resident(server.pid())?;
            server.stop();
        }
    }
    println!("  {:<34} {:>9.0} ms", "ready, with a new database", median(&mut fresh));
    println!("  {:<34} {:>9.0} ms", "ready, with the one of before", median(&mut again));
    println!("  {:<34} {memory:>9.1} MB", "idle, resident");
    Ok(())
}

/// The resident memory of a process, in MB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1024.0)
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
}
