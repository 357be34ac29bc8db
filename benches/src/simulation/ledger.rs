//! The oracle: what one node asked, was asked, sent and received, kept apart from the cores, and what must hold of it.
//!
//! - no leaf is on its way twice but as a hedge, and hedges stay in their budget;
//! - nothing is asked that is held, and nothing twice of one source;
//! - nothing void, and nothing that was not asked, is served; no payload goes beyond the credit;
//! - received bytes are counted once, and what is held, wasted or corrupt comes to no more than them.

use std::collections::BTreeMap;

use shared::{LeafRange, LeafSet, schedule::viewer::ChunkRequest, wire::RequestId};

/// What the viewer's duplicates may come to: a sixty-fourth of what was received, and a little to begin with.
const HEDGE_SHARE: u64 = 64;
const HEDGE_FREE_BYTES: u64 = (128 << 10) + (64 << 14);

/// The books of one node.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Requests the viewer has out: of whom, for what.
    live: BTreeMap<RequestId, (u32, LeafRange)>,
    /// How often each leaf is on its way.
    on_way: Vec<u8>,
    pub(super) received_bytes: u64,
    hedged_bytes: u64,
    /// Requests the uploader was given and may still serve.
    asked: BTreeMap<(u32, RequestId), Asked>,
    granted_bytes: BTreeMap<u32, u64>,
    sent_bytes: BTreeMap<u32, u64>,
}

#[derive(Debug)]
struct Asked {
    epoch: u32,
    leaves: LeafRange,
}

type Verdict = Result<(), String>;

impl Ledger {
    pub(super) fn open(&mut self, leaf_count: u32) {
        self.on_way = vec![0; leaf_count as usize];
    }

    /// The viewer asks `of` for chunks.
    pub(super) fn ask(&mut self, of: u32, chunks: &[ChunkRequest], held: &LeafSet) -> Verdict {
        for chunk in chunks {
            if held.intersects(chunk.leaves) {
                return Err(format!("asks node {of} for {:?}, which is held", chunk.leaves));
            }
            self.fly(of, chunk.id, chunk.leaves)?;
        }
        Ok(())
    }

    /// A request is out.
    pub(super) fn fly(&mut self, of: u32, id: RequestId, leaves: LeafRange) -> Verdict {
        let mut is_hedge = false;
        for leaf in leaves.leaves() {
            let Some(count) = self.on_way.get_mut(leaf as usize) else {
                return Err(format!("{leaves:?} lies beyond the content"));
            };
            *count += 1;
            is_hedge |= *count == 2;
            if *count > 2 {
                return Err(format!("leaf {leaf} is asked {count} times at once"));
            }
        }
        if is_hedge {
            if self.live.values().any(|(other, asked)| *other == of && asked.first == leaves.first) {
                return Err(format!("{leaves:?} is asked twice of node {of}"));
            }
            self.hedged_bytes += u64::from(leaves.count) << 14;
            if self.hedged_bytes > self.received_bytes / HEDGE_SHARE + HEDGE_FREE_BYTES {
                return Err(format!("{} bytes are hedged of {}", self.hedged_bytes, self.received_bytes));
            }
        }
        match self.live.insert(id, (of, leaves)) {
            Some(_) => Err(format!("request {id} is used twice")),
            None => Ok(()),
        }
    }

    /// A request is no longer out.
    pub(super) fn land(&mut self, id: RequestId) {
        let Some((_, leaves)) = self.live.remove(&id) else { return };
        for leaf in leaves.leaves() {
            if let Some(count) = self.on_way.get_mut(leaf as usize) {
                *count -= 1;
            }
        }
    }

    /// All requests to a node are void.
    pub(super) fn land_all(&mut self, of: u32) {
        let ids: Vec<RequestId> =
            self.live.iter().filter(|(_, (source, _))| *source == of).map(|(id, _)| *id).collect();
        for id in ids {
            self.land(id);
        }
    }

    /// The uploader is given a request.
    pub(super) fn asked(&mut self, by: u32, id: RequestId, epoch: u32, leaves: LeafRange) {
        self.asked.insert((by, id), Asked { epoch, leaves });
    }

    /// A request is taken back.
    pub(super) fn cancelled(&mut self, by: u32, ids: &[RequestId]) {
        for id in ids {
            self.asked.remove(&(by, *id));
        }
    }

    /// Everything older than `epoch` is void.
    pub(super) fn flushed(&mut self, by: u32, epoch: u32) {
        self.asked.retain(|(other, _), asked| *other != by || asked.epoch >= epoch);
    }

    /// A link is gone.
    pub(super) fn forget(&mut self, by: u32) {
        self.asked.retain(|(other, _), _| *other != by);
        self.granted_bytes.remove(&by);
        self.sent_bytes.remove(&by);
    }

    /// A viewer grants more.
    pub(super) fn granted(&mut self, by: u32, bytes: u64) {
        let granted = self.granted_bytes.entry(by).or_default();
        *granted = (*granted).max(bytes);
    }

    /// A chunk leaves.
    pub(super) fn serve(&mut self, to: u32, id: RequestId, leaves: LeafRange, bytes: u64) -> Verdict {
        match self.asked.remove(&(to, id)) {
            Some(asked) if asked.leaves == leaves => {}
            Some(asked) => return Err(format!("serves {leaves:?} where {:?} was asked", asked.leaves)),
            None => return Err(format!("serves node {to} request {id}, which is void or was never asked")),
        }
        let sent = self.sent_bytes.entry(to).or_default();
        *sent += bytes;
        let granted = self.granted_bytes.get(&to).copied().unwrap_or(0);
        if *sent > granted {
            return Err(format!("sent node {to} {sent} bytes of {granted} granted"));
        }
        Ok(())
    }

    /// What the viewer says against what came.
    pub(super) fn balance(&self, held_bytes: u64, received: u64, wasted: u64, corrupt: u64) -> Verdict {
        if received != self.received_bytes {
            return Err(format!("counts {received} received bytes of {}", self.received_bytes));
        }
        if held_bytes + wasted + corrupt > received {
            return Err(format!(
                "{held_bytes} held, {wasted} wasted and {corrupt} corrupt are not {received}"
            ));
        }
        Ok(())
    }

    /// What the viewer says is out against what was sent.
    pub(super) fn agrees(&self, in_flight: impl Iterator<Item = (RequestId, u32, LeafRange)>) -> Verdict {
        let mut count = 0;
        for (id, source, leaves) in in_flight {
            count += 1;
            if self.live.get(&id) != Some(&(source, leaves)) {
                return Err(format!(
                    "request {id} of {leaves:?} to node {source} is in flight and was not sent"
                ));
            }
        }
        if count != self.live.len() {
            return Err(format!("{} requests are out and {count} are known", self.live.len()));
        }
        Ok(())
    }
}
