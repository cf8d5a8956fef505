//! So many clients, each doing one thing after another, for a while.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

/// What came out.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    per_second: f64,
    latencies: Vec<Duration>,
}

impl Figures {
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second
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
    }
}

/// Runs a client's operation again and again; `client` makes each client's own state from its number.
pub(crate) async fn run<C, S, F, O>(clients: usize, time: Duration, client: C, operation: O) -> Result<Figures>
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
    latencies.sort_unstable();
    Ok(Figures { per_second: latencies.len() as f64 / begin.elapsed().as_secs_f64(), latencies })
}
