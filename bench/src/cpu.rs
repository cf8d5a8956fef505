//! Processor time of processes, from `/proc`. On a machine that others use as well it says more than the clock.

use anyhow::{Context, Result};

/// What Linux counts in, whatever its clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process under a name.
pub(crate) type Process = (&'static str, u32);

/// Seconds of processor time that each process has had so far, all its threads together.
pub(crate) fn seconds(processes: &[Process]) -> Result<Vec<f64>> {
    processes.iter().map(|(name, pid)| of(*pid).with_context(|| format!("processor time of {name}"))).collect()
}

fn of(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the command in parentheses, with anything in it.
    let (_, fields) = stat.rsplit_once(") ").context("fields")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next().context("utime")?.parse()?;
    let system: f64 = fields.next().context("stime")?.parse()?;
    Ok((user + system) / TICKS_PER_SECOND)
}
