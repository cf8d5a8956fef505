//! What a server does now and then by itself: sessions that ran out are swept, metrics folded.

use super::Metrics;
use bindery_core::Engine;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const FOLD: Duration = Duration::from_secs(10);
/// Sessions that ran out open nothing, and old sync runs interest nobody; this only keeps the tables small.
const SWEEP_EVERY: u32 = 60;

pub(crate) async fn run(engine: Engine, metrics: Metrics) {
    let mut ticks = tokio::time::interval(FOLD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut count: u32 = 0;
    loop {
        ticks.tick().await;
        metrics.upkeep();
        if count.is_multiple_of(SWEEP_EVERY) {
            if let Err(error) = engine.store().sweep_sessions(engine.now()).await {
                tracing::warn!(target: "bindery", error = crate::exit::chain(&error), "sessions could not be swept");
            }
            if let Err(error) = engine.store().sweep_sync_runs().await {
                tracing::warn!(target: "bindery", error = crate::exit::chain(&error), "sync runs could not be swept");
            }
        }
        count = count.wrapping_add(1);
    }
}
