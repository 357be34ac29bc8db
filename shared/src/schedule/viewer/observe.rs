//! A viewer as observers see it. Reading only; nothing here changes a decision.

use super::{SourceId, SourceSnapshot, Viewer, ViewerSnapshot};
use crate::{
    snapshot::PieceState,
    units::{LeafRange, leaf_of},
};

/// The most byte ranges a snapshot names.
const MAX_RANGES: usize = 400;

impl Viewer {
    /// The whole state at `now_ms`.
    pub fn snapshot(&self, now_ms: u64) -> ViewerSnapshot {
        let playhead_byte = self.playhead();
        let sources = self.source_snapshots(now_ms);
        ViewerSnapshot {
            epoch: self.epoch,
            playhead_byte,
            playhead_ms: self.timeline.ms_at(playhead_byte),
            buffered_ahead_ms: self.buffered_ahead_ms(playhead_byte),
            duration_ms: self.timeline.duration_ms(),
            verified_bytes: self.held.runs().map(|run| run.len_bytes(self.config.size_bytes)).sum(),
            piece_leaves: self.piece_leaves(),
            piece_map: self.piece_map(),
            verified_ranges: self.verified_ranges(),
            time_index: self.timeline.index().to_vec(),
            download_bps: sources.iter().map(|source| source.rate_bps).sum(),
            received_bytes: self.tally.received_bytes,
            wasted_bytes: self.tally.wasted_bytes,
            corrupt_bytes: self.tally.corrupt_bytes,
            hedged_bytes: self.tally.hedged_bytes,
            stalls: self.tally.stalls,
            waiting: self.waiting(now_ms),
            complete: self.held.is_full(),
            sources,
        }
    }

    /// The reader that has least ahead of it leads; without readers, the beginning.
    fn playhead(&self) -> u64 {
        let positions = self.readers.values().map(|reader| reader.position.min(self.config.size_bytes));
        positions.min_by_key(|position| (self.buffered_ahead_ms(*position), *position)).unwrap_or(0)
    }

    fn buffered_ahead_ms(&self, position: u64) -> u64 {
        let end = self.held.first_missing(leaf_of(position)).unwrap_or(self.leaf_count);
        let end_byte = LeafRange::new(0, end).bytes(self.config.size_bytes).end;
        self.timeline.ms_at(end_byte.max(position)).saturating_sub(self.timeline.ms_at(position))
    }

    fn piece_map(&self) -> Vec<PieceState> {
        let piece = self.piece_leaves();
        (0..self.leaf_count.div_ceil(piece))
            .map(|number| {
                let first = number * piece;
                let leaves = LeafRange::new(first, piece.min(self.leaf_count - first));
                if self.held.contains(leaves) {
                    PieceState::Verified
                } else if self.held.intersects(leaves) {
                    PieceState::Partial
                } else if self.taken.intersects(leaves) {
                    PieceState::Requested
                } else if self.sources.values().any(|source| source.have.contains(leaves)) {
                    PieceState::Available
                } else {
                    PieceState::Missing
                }
            })
            .collect()
    }

    fn verified_ranges(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<LeafRange> = self.held.runs().collect();
        if runs.len() > MAX_RANGES {
            runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.count));
            runs.truncate(MAX_RANGES);
            runs.sort_unstable();
        }
        runs.into_iter()
            .map(|run| run.bytes(self.config.size_bytes))
            .map(|bytes| (bytes.start, bytes.end))
            .collect()
    }

    /// The sources alone; cheaper than a whole [`snapshot`](Self::snapshot).
    pub fn source_snapshots(&self, now_ms: u64) -> Vec<SourceSnapshot> {
        self.sources.iter().map(|(id, source)| source.snapshot(*id, now_ms)).collect()
    }

    /// Sources that give nothing: asked for what they announced, again and again, they never served any of it. Who was not asked is none
    /// of them.
    pub fn idlers(&self) -> impl Iterator<Item = SourceId> {
        self.sources.iter().filter(|(_, source)| source.is_idler()).map(|(id, _)| *id)
    }

    fn waiting(&self, now_ms: u64) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(trouble.why.clone());
        }
        let reader = self.readers.values().find(|reader| reader.dry_since_ms.is_some())?;
        let leaf = leaf_of(reader.position);
        let holders = self.sources.values().filter(|source| source.have.has(leaf));
        let (mut known, mut usable) = (0, 0);
        for source in holders {
            known += 1;
            usable += usize::from(!source.is_snubbed());
        }
        let waited_s = now_ms.saturating_sub(reader.dry_since_ms.unwrap_or(now_ms)) / 1_000;
        Some(match (self.sources.len(), known, usable) {
            (0, ..) => "no source is connected".to_owned(),
            (sources, 0, _) => format!("none of {sources} connected sources has this part yet"),
            (_, _, 0) => "the sources that have this part do not answer".to_owned(),
            _ if waited_s == 0 => "this part is on its way".to_owned(),
            (_, known, _) => {
                format!("this part is on its way from one of {known} sources, slower than it is played")
            }
        })
    }
}
