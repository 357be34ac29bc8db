//! Who comes, whom they meet, who vanishes.

use std::rc::Rc;

use rand::{RngExt as _, seq::SliceRandom as _};
use shared::{
    ContentId, LeafRange,
    limits::MAX_PROBED_BPS,
    schedule::viewer::{SourceTraits, Swarm},
    wire::PathKind,
};

use super::{
    events::Event,
    node::{Message, Peer},
    player::Player,
    scenario::{Happening, Role, Stays},
    world::{CONTENT, World, content_of},
};

/// After this long without a word a neighbour is given up.
const NOTICED_US: u64 = 2_000_000;
const ORIGIN_OUTLIVES_LAST_US: u64 = 2_000_000;

impl World {
    pub(super) fn join(&mut self, n: u32) {
        let tokens = self.scenario.tokens;
        let seed: u64 = self.rng.random();
        let (now_us, now_ms) = (self.now_us, self.now_ms());
        let content = self.content;
        let reads_ahead_us = self.scenario.reads_ahead_ms * 1_000;
        let held = self.held_for(n);
        let node = &mut self.nodes[n as usize];
        node.is_up = true;
        if !node.spec.is_viewer() {
            for content_id in held {
                node.uploader.seeds(content_id, content.size_bytes, content.rate_bps);
            }
        } else {
            // A train to the tracker has told.
            if node.spec.up_bps <= MAX_PROBED_BPS {
                node.uploader.probed(node.spec.up_bps);
            }
            node.open(&content, seed, tokens);
            if node.spec.role == Some(Role::Downloader) {
                if let Some(viewer) = &mut node.viewer {
                    viewer.keep_whole(now_ms, true);
                }
            } else {
                node.player = Some(Player::new(now_us, content.rate_bps, content.media_us, reads_ahead_us));
            }
            self.plan(now_us + 5_000_000, n, Event::Audit);
            self.plan(now_us, n, Event::Look);
            self.nodes[n as usize].look_us = Some(now_us);
            if let Stays::OnAverage(mean_ms) = self.scenario.stays {
                let stays_ms = -(1.0 - self.rng.random::<f64>()).ln() * mean_ms as f64;
                self.plan(now_us + (stays_ms * 1e3) as u64, n, Event::Leave);
            }
        }
        self.register(n);
    }

    /// The contents of which `n` has everything from the start.
    pub(super) fn held_for(&self, n: u32) -> Vec<ContentId> {
        let spec = self.nodes[n as usize].spec;
        if spec.is_viewer() {
            return Vec::new();
        }
        if !self.scenario.apart {
            return vec![CONTENT];
        }
        let groups = self.scenario.groups.get(spec.group).map_or(&[][..], |group| group.holds_for);
        let viewers = (0..self.nodes.len() as u32).filter(|viewer| {
            let viewer = self.nodes[*viewer as usize].spec;
            viewer.is_viewer() && (groups.is_empty() || groups.contains(&viewer.group))
        });
        viewers.map(|viewer| content_of(&self.scenario, viewer)).collect()
    }

    /// A plan has come: links come up, both ways, and shares count from now on.
    pub(super) fn follow(&mut self, n: u32, swarm: Swarm, plan: &[(u32, u64)]) {
        let others: Vec<u32> = plan.iter().map(|(other, _)| *other).collect();
        self.meet(n, &others);
        let (now_ms, keeps_to_shares) = (self.now_ms(), self.scenario.shares);
        if let Some(viewer) = &mut self.nodes[n as usize].viewer {
            viewer.told_of_swarm(now_ms, swarm);
        }
        for (other, share_bps) in plan.iter().filter(|_| keeps_to_shares) {
            let node = &mut self.nodes[n as usize];
            if let (Some(viewer), Some(peer)) = (&mut node.viewer, node.links.get_mut(other))
                && std::mem::replace(&mut peer.share_bps, *share_bps) != *share_bps
            {
                viewer.source_share(now_ms, *other, *share_bps);
                self.settle(n);
            }
        }
    }

    /// Links come up, both ways.
    fn meet(&mut self, n: u32, others: &[u32]) {
        let strangers = others.iter().filter(|other| {
            self.nodes[**other as usize].is_up && !self.nodes[n as usize].links.contains_key(other)
        });
        let strangers: Vec<u32> = strangers.copied().collect();
        for other in &strangers {
            self.link(n, *other);
            self.link(*other, n);
        }
        for other in &strangers {
            self.greet(n, *other);
            self.greet(*other, n);
        }
    }

    /// `n` takes `other` as a neighbour.
    fn link(&mut self, n: u32, other: u32) {
        let now_ms = self.now_ms();
        let spec = self.nodes[other as usize].spec;
        let rtt_us = self.scenario.rtt_ms as u32 * 1_000;
        let node = &mut self.nodes[n as usize];
        node.links.insert(other, Peer::default());
        node.uploader.link_joined(other.into());
        node.uploader.measured(now_ms, other.into(), rtt_us);
        if let Some(viewer) = &mut node.viewer {
            let traits = SourceTraits {
                is_origin: spec.is_origin(),
                path: PathKind::Direct,
                rate_hint_bps: 0,
                rtt_hint_us: rtt_us,
            };
            viewer.source_joined(now_ms, other, traits);
        }
    }

    /// `n` tells `other` what it holds and what it may send.
    fn greet(&mut self, n: u32, other: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        if let Some(first) = node.links.get_mut(&other).map(|peer| peer.received(now_ms, 0)) {
            self.send(n, other, first);
        }
        if !self.hears_of(n, other) {
            return;
        }
        let node = &mut self.nodes[n as usize];
        let backlog_ms = node.uploader.backlog_ms();
        node.announcer.subscribe(now_ms, other.into(), CONTENT, backlog_ms);
        let (complete, ranges): (bool, Rc<[LeafRange]>) = match node.held() {
            None => (true, Rc::from([])),
            Some(_) if node.spec.forges() => (true, Rc::from([])),
            Some(held) => (false, held.runs().collect()),
        };
        self.send(n, other, Message::Have { reset: true, complete, ranges, backlog_ms });
    }

    /// Whether `other` is told what `n` holds. A node that does not upload says nothing, unless it hides that.
    pub(super) fn hears_of(&self, n: u32, other: u32) -> bool {
        let (teller, listener) = (&self.nodes[n as usize], &self.nodes[other as usize]);
        let is_heard = listener.viewer.is_some() || listener.spec.is_origin() && teller.viewer.is_some();
        is_heard && teller.spec.role != Some(Role::FreeRider)
    }

    pub(super) fn leave(&mut self, n: u32) {
        let node = &mut self.nodes[n as usize];
        if !std::mem::replace(&mut node.is_up, false) {
            return;
        }
        let is_unfinished = match (&node.player, &node.viewer) {
            (Some(player), _) => !player.played.is_finished,
            (None, Some(viewer)) => !viewer.is_complete(),
            (None, None) => false,
        };
        if let Some(player) = &mut node.player {
            player.close(self.now_us);
        }
        self.unfinished -= usize::from(is_unfinished);
        let links: Vec<u32> = node.links.keys().copied().collect();
        for other in links {
            self.nodes[other as usize].uplink.block(n);
            self.plan(self.now_us + NOTICED_US, other, Event::Gone(n));
        }
        self.plan(self.now_us + NOTICED_US, n, Event::Missed);
    }

    /// `n` gives `other` up.
    pub(super) fn part(&mut self, n: u32, other: u32) {
        let now_ms = self.now_ms();
        let node = &mut self.nodes[n as usize];
        node.links.remove(&other);
        node.uplink.cut(other);
        node.ledger.forget(other);
        node.ledger.land_all(other);
        node.announcer.forget(other.into());
        node.uploader.link_left(now_ms, other.into());
        node.uploader_touched = true;
        if let Some(viewer) = &mut node.viewer {
            viewer.source_left(now_ms, other);
        }
        self.settle(n);
    }

    pub(super) fn plan_happenings(&mut self) {
        for (number, happening) in self.scenario.happenings.iter().enumerate() {
            match *happening {
                Happening::Kill { at_ms, .. } => self.plan(at_ms * 1_000, 0, Event::Happen(number)),
                Happening::ReplaceEach { every_ms, group, times } => {
                    let members = self.members(group);
                    for (m, n) in members.into_iter().zip(1..=u64::from(times)) {
                        self.plan(every_ms * 1_000 * n, m, Event::Leave);
                    }
                }
                Happening::KillOriginOnceCopied => self.plan(1_000_000, 0, Event::Happen(number)),
                Happening::Seek { at_ms, group, to_ms } => {
                    let first = self.members(group).first().copied().unwrap_or(0);
                    self.plan(at_ms * 1_000, first, Event::Seek(to_ms * 1_000));
                }
                Happening::SeekAbout { from_ms, every_ms, times, group } => {
                    let first = self.members(group).first().copied().unwrap_or(0);
                    for n in 0..u64::from(times) {
                        let to_us = self.rng.random_range(0..self.content.media_us * 9 / 10);
                        self.plan((from_ms + n * every_ms) * 1_000, first, Event::Seek(to_us));
                    }
                }
            }
        }
    }

    pub(super) fn befall(&mut self, number: usize) {
        match self.scenario.happenings[number] {
            Happening::Kill { group, share, .. } => {
                let mut members = self.members(group);
                members.shuffle(&mut self.rng);
                let count = (members.len() as f64 * share) as usize;
                members.truncate(count);
                members.into_iter().for_each(|n| self.leave(n));
            }
            Happening::KillOriginOnceCopied => {
                if self.is_copied() {
                    self.plan(self.now_us + ORIGIN_OUTLIVES_LAST_US, 0, Event::Leave);
                } else {
                    self.plan(self.now_us + 50_000, 0, Event::Happen(number));
                }
            }
            Happening::ReplaceEach { .. } | Happening::Seek { .. } | Happening::SeekAbout { .. } => {}
        }
    }

    /// Whether the viewers together hold everything.
    fn is_copied(&self) -> bool {
        let mut all = shared::LeafSet::new(self.content.leaf_count);
        let held = self.nodes.iter().filter(|node| node.is_up).filter_map(|node| node.held());
        held.flat_map(|held| held.runs()).for_each(|run| {
            all.insert(run);
        });
        all.is_full()
    }

    fn members(&self, group: usize) -> Vec<u32> {
        (0..self.nodes.len() as u32).filter(|n| self.nodes[*n as usize].spec.group == group).collect()
    }
}
