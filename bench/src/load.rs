//! So many clients, each doing one thing after another, for a while.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use crate::cpu::{self, Process};

/// What came out.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    per_second: f64,
    latencies: Vec<Duration>,
    /// Microseconds of processor time an operation, by process.
    cpu: Vec<(&'static str, f64)>,
}

impl Figures {
    /// Microseconds of processor time that an operation takes, of everybody who works on it.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu.iter().map(|(_, time)| time).sum()
    }

    /// The latency that this share of the operations stayed below.
    fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }

    pub(crate) fn print(&self, name: &str) {
        println!(
            "  {name:<34} {:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms",
            self.per_second,
            self.percentile(0.5).as_secs_f64() * 1e3,
            self.percentile(0.99).as_secs_f64() * 1e3,
        );
        let parts: Vec<_> = self.cpu.iter().map(|(name, time)| format!("{name} {time:.0}")).collect();
        println!("  {:<34} {:>9.0} µs  ({})", "  processor time of each", self.cpu(), parts.join(", "));
    }

    /// How this compares with a floor, by the clock and by processor time.
    pub(crate) fn print_ratio(&self, floor: &str, than: &Self) {
        println!(
            "  {:<34} {:>9.2}     by processor time {:.2}",
            format!("ratio to {floor}"),
            self.per_second / than.per_second,
            than.cpu() / self.cpu()
        );
    }
}

/// Runs a client's operation again and again; `client` makes each client's own state from its number. `others` work
/// on it besides this process.
pub(crate) async fn run<C, S, F, O>(
    clients: usize,
    time: Duration,
    others: &[Process],
    client: C,
    operation: O,
) -> Result<Figures>
where
    C: AsyncFn(usize) -> Result<S>,
    S: Send + 'static,
    F: Future<Output = (S, Result<()>)> + Send,
    O: Fn(S, usize) -> F + Clone + Send + 'static,
{
    let mut states = Vec::new();
    for number in 0..clients {
        states.push(client(number).await?);
    }
    let processes: Vec<Process> = [("clients", std::process::id())].iter().chain(others).copied().collect();
    let before = cpu::seconds(&processes)?;
    let begin = Instant::now();
    let tasks = states.into_iter().enumerate().map(|(number, mut state)| {
        let operation = operation.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            // Clients walk through the people in steps, so that no two sign in as the same one at once.
            for turn in (number..).step_by(clients) {
                let started = Instant::now();
                if started - begin >= time {
                    break;
                }
                let result;
                (state, result) = operation(state, turn).await;
                result?;
                latencies.push(started.elapsed());
            }
            anyhow::Ok(latencies)
        })
    });
    let tasks = tasks.collect::<Vec<_>>();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    let each = |(before, after): (f64, f64)| (after - before) / latencies.len() as f64 * 1e6;
    let cpu = before.into_iter().zip(cpu::seconds(&processes)?).map(each);
    let cpu = processes.iter().map(|(name, _)| *name).zip(cpu).collect();
    latencies.sort_unstable();
    Ok(Figures { per_second, latencies, cpu })
}
