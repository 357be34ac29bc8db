//! Looking at a running tracker from outside its actors: asks them for snapshots and reads the registry; changes nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
};

use actix::Recipient;
use peer_actor::{clock, relay::Relays};
use serde::Serialize;
use shared::{ContentId, NodeId};

use crate::{
    console::{ActorRow, SessionRow, SwarmRow, Tables},
    counters::ActorStats,
    file_index::{self, IndexSnapshot},
    observe_swarm::SwarmWatch,
    path_planner::{self, PlannerSnapshot},
    registry::Registry,
};

/// The most clients a table shows.
const MAX_ROWS: usize = 2_000;
/// Seconds of history the dashboard draws.
pub const HISTORY_SECONDS: usize = 120;

/// Everything an observer needs.
#[derive(Debug, Clone)]
pub struct Observatory {
    /// The tracker's key.
    pub node: NodeId,
    /// The shared state.
    pub registry: Arc<Registry>,
    /// What the tracker itself relays.
    pub relays: Arc<Relays>,
    /// Asks the file index.
    pub index: Recipient<file_index::Observe>,
    /// What the file index has done.
    pub index_stats: Arc<ActorStats>,
    /// Asks the path planner.
    pub planner: Recipient<path_planner::Observe>,
    /// Asks the path planner for one swarm.
    pub planner_swarm: Recipient<path_planner::ObserveSwarm>,
    /// What the path planner has done.
    pub planner_stats: Arc<ActorStats>,
    /// The last two minutes.
    pub history: Arc<Mutex<History>>,
    /// What the file index and the planner said when they were last sampled: enough for a page that looks once a second.
    pub latest: Arc<Mutex<(IndexSnapshot, PlannerSnapshot)>>,
    /// The swarms that are being looked at.
    pub swarm_watch: Arc<Mutex<SwarmWatch>>,
}

/// A second of the tracker's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sample {
    /// Clients.
    pub clients: usize,
    /// Bits a second the library sends.
    pub origin_bps: u64,
    /// Bits a second through relays.
    pub relayed_bps: u64,
    /// Frames a second from and to clients.
    pub frames_per_second: u64,
}

/// The last seconds, oldest first.
#[derive(Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    relayed_bytes: u64,
    frames: u64,
    at_ms: u64,
}

impl History {
    /// Takes the counters' values as they are at `now_ms`.
    pub fn handle_sample(
        &mut self,
        now_ms: u64,
        clients: usize,
        origin_bps: u64,
        relayed_bytes: u64,
        frames: u64,
    ) {
        let took_ms = now_ms.saturating_sub(self.at_ms).max(1);
        let per_second = |now: u64, before: u64| now.saturating_sub(before) * 1_000 / took_ms;
        // The first sample has nothing to be compared with.
        let is_first = self.samples.is_empty();
        let per_second = |now, before| if is_first { 0 } else { per_second(now, before) };
        let sample = Sample {
            clients,
            origin_bps,
            relayed_bps: per_second(relayed_bytes, self.relayed_bytes) * 8,
            frames_per_second: per_second(frames, self.frames),
        };
        (self.at_ms, self.relayed_bytes, self.frames) = (now_ms, relayed_bytes, frames);
        if self.samples.len() == HISTORY_SECONDS {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }
}

impl Observatory {
    /// The counts of the file index, or none when it has stopped.
    pub async fn index(&self) -> IndexSnapshot {
        self.index.send(file_index::Observe).await.unwrap_or_default()
    }

    /// What the planner sees.
    pub async fn planner(&self) -> PlannerSnapshot {
        self.planner.send(path_planner::Observe).await.unwrap_or_default()
    }

    /// Takes a sample of this second, and brings the gauges up to date.
    pub async fn sample(&self) {
        let counters = &self.registry.counters;
        let (index, planner) = (self.index().await, self.planner().await);
        let clients = self.registry.client_count();
        counters.clients.set(clients as i64);
        counters.files.set((index.audio_files + index.video_files) as i64);
        counters.hints_bytes.set(index.hints_bytes as i64);
        counters.swarms.set(planner.watched as i64);
        counters.plans.set(planner.plans_told as i64);
        counters.peer_relays.set(planner.relays.in_use as i64);
        counters.peer_relayed_bytes.set(planner.relays.carried_bytes as i64);
        let frames = counters.frames_in.get() + counters.frames_out.get();
        let origin_bps = u64::try_from(counters.origin_send_bps.get()).unwrap_or(0);
        let now_ms = clock::now_ms();
        locked(&self.history).handle_sample(
            now_ms,
            clients,
            origin_bps,
            counters.relayed_bytes.get(),
            frames,
        );
        locked(&self.swarm_watch).forget(now_ms);
        *locked(&self.latest) = (index, planner);
    }

    /// What the sampler saw last.
    pub fn latest(&self) -> (IndexSnapshot, PlannerSnapshot) {
        locked(&self.latest).clone()
    }

    /// The tables of the console.
    pub async fn tables(&self, explained: Option<ContentId>) -> Tables {
        let (index, planner) = (self.index().await, self.planner().await);
        let explained = match explained {
            Some(content_id) => self.explain(content_id).await,
            None => None,
        };
        let planner_relays = planner.relays;
        let sessions = self.registry.sessions();
        let now_ms = clock::now_ms();
        let rows = sessions.iter().take(MAX_ROWS).map(|entry| SessionRow {
            session: entry.session.0,
            node: entry.info.node,
            role: entry.info.role,
            kind: entry.info.kind,
            agent: entry.info.agent.clone(),
            address: entry.observed.to_string(),
            age_ms: now_ms.saturating_sub(entry.since_ms),
            rtt_us: entry.rtt_us.load(Relaxed),
            frames_in: entry.frames_in.load(Relaxed),
            frames_out: entry.frames_out.load(Relaxed),
            queued_bytes: entry.link.queued_bytes(),
        });
        Tables {
            actors: self.actors(&index, &planner, sessions.len()),
            sessions: rows.collect(),
            more_sessions: sessions.len().saturating_sub(MAX_ROWS),
            swarms: self.swarms(planner),
            strangers: self.registry.ungreeted(),
            relays: self.relays.relays(),
            peer_relays: planner_relays,
            explained,
        }
    }

    /// The largest swarms with their files' names.
    pub fn swarms(&self, planner: PlannerSnapshot) -> Vec<SwarmRow> {
        let rows = planner.swarms.into_iter().map(|swarm| {
            let file = self.registry.file((swarm.kind, swarm.content_id));
            SwarmRow { name: file.map_or_else(String::new, |entry| entry.file.name.clone()), swarm }
        });
        rows.collect()
    }

    fn actors(&self, index: &IndexSnapshot, planner: &PlannerSnapshot, sessions: usize) -> Vec<ActorRow> {
        let row = |name, count, stats: &ActorStats, detail| {
            let (turns, busy_us, slowest_us) = stats.read();
            ActorRow { name, count, turns, busy_us, slowest_us, detail }
        };
        let counters = &self.registry.counters;
        let frames = counters.frames_in.get();
        vec![
            row(
                "file-index",
                1,
                &self.index_stats,
                format!(
                    "{} video, {} audio files; {} lists, {} of absent clients; {} of hints",
                    index.video_files,
                    index.audio_files,
                    index.lists,
                    index.absent,
                    kib(index.hints_bytes)
                ),
            ),
            row(
                "path-planner",
                1,
                &self.planner_stats,
                format!(
                    "{} nodes, {} viewers of {} files; {} plans told, {} due; {} peers offer to relay",
                    planner.nodes,
                    planner.viewers,
                    planner.watched,
                    planner.plans_told,
                    planner.plans_due,
                    planner.relays.offering
                ),
            ),
            ActorRow {
                name: "session",
                count: sessions,
                turns: frames,
                busy_us: 0,
                slowest_us: 0,
                detail: format!(
                    "{} opened, {} closed, {} lost, {} violations",
                    counters.sessions_opened.get(),
                    counters.sessions_closed.get(),
                    counters.lost.get(),
                    counters.violations.get()
                ),
            },
            ActorRow {
                name: "console",
                count: self.registry.tap.watchers(),
                turns: 0,
                busy_us: 0,
                slowest_us: 0,
                detail: "browsers watching messages".to_owned(),
            },
        ]
    }
}

/// What a mutex holds; whoever panicked with it left it whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_what_came_since_the_last_one() {
        let mut history = History::default();
        history.handle_sample(1_000, 3, 0, 1_000_000, 500);
        history.handle_sample(3_000, 4, 7, 3_000_000, 700);
        let last = history.samples()[1];
        assert_eq!(
            last,
            Sample { clients: 4, origin_bps: 7, relayed_bps: 8_000_000, frames_per_second: 100 }
        );
    }

    #[test]
    fn the_history_is_bounded_and_forgets_the_oldest() {
        let mut history = History::default();
        for second in 0..500 {
            history.handle_sample(second * 1_000, second as usize, 0, 0, 0);
        }
        assert_eq!(history.samples().len(), HISTORY_SECONDS);
        assert_eq!(history.samples()[0].clients, 500 - HISTORY_SECONDS);
    }
}
