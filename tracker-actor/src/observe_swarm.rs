//! One swarm as dashboard and console show it: the planner's view, what each member has achieved since it is being looked at, and names
//! that tell nobody who they are.
//!
//! Invariant: whoever looks while a view is fresh is shown that, so the planner is asked for a swarm by those alone who look at the very
//! moment it becomes stale, twice a second. What nobody has looked at for half a minute is forgotten, and so is a member of a swarm that
//! is being looked at when it has not been in it for so long.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use peer_actor::clock;
use serde::Serialize;
use shared::{
    ContentId, MediaKind, NodeId,
    limits::LEAF_BYTES,
    wire::{PathKind, Role},
};

use crate::{
    file_index::FileKey,
    observe::{Observatory, locked},
    path_planner::{
        ObserveSwarm,
        paths::Reach,
        view::{Limit, Relay, SwarmView},
    },
};

/// How long a view is shown to whoever else asks.
const FRESH_MS: u64 = 500;
/// How far back a rate looks: holdings are told every two seconds.
const WINDOW_MS: u64 = 10_000;
/// A rate over less than this says nothing.
const LEAST_MS: u64 = 2_500;
/// What nobody has looked at for so long is forgotten.
const FORGET_MS: u64 = 30_000;

/// The kinds a content may be of, which its id does not say.
const KINDS: [MediaKind; 2] = [MediaKind::Video, MediaKind::Audio];

/// A swarm, and what its members have achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watched {
    /// The planner's view.
    #[serde(flatten)]
    pub view: SwarmView,
    /// Bits per second each member has gained lately; none for those that have everything or were not watched for long enough.
    pub achieved_bps: Vec<Option<u64>>,
}

/// What members held when, of the swarms that are being looked at.
#[derive(Debug, Default)]
pub struct SwarmWatch {
    held: BTreeMap<(FileKey, NodeId), VecDeque<(u64, u32)>>,
    recent: BTreeMap<FileKey, (u64, Arc<Watched>)>,
    names: RandomState,
}

impl SwarmWatch {
    /// The last view, while it is fresh.
    fn recent(&self, now_ms: u64, key: FileKey) -> Option<Arc<Watched>> {
        let (at_ms, watched) = self.recent.get(&key)?;
        (now_ms < at_ms + FRESH_MS).then(|| watched.clone())
    }

    /// The same of a content of either kind.
    fn recent_of(&self, now_ms: u64, content_id: ContentId) -> Option<Arc<Watched>> {
        KINDS.into_iter().find_map(|kind| self.recent(now_ms, (kind, content_id)))
    }

    /// Forgets what nobody has looked at, and who was not there when somebody did.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        self.recent.retain(|_, (at_ms, _)| now_ms < *at_ms + FORGET_MS);
        let is_late =
            |track: &VecDeque<(u64, u32)>| track.back().is_some_and(|(at_ms, _)| now_ms < at_ms + FORGET_MS);
        self.held.retain(|_, track| is_late(track));
    }

    /// Takes a new view.
    fn handle_view(&mut self, now_ms: u64, key: FileKey, view: SwarmView) -> Arc<Watched> {
        self.forget(now_ms);
        let members = view.members.iter().map(|member| (member.node, member.leaves)).collect::<Vec<_>>();
        let achieved = members.into_iter().map(|(node, leaves)| {
            let track = self.held.entry((key, node)).or_default();
            (leaves < view.leaves).then(|| gained_bps(track, now_ms, leaves)).flatten()
        });
        let achieved_bps = achieved.collect();
        let watched = Arc::new(Watched { view, achieved_bps });
        self.recent.insert(key, (now_ms, watched.clone()));
        watched
    }

    /// A name for a member of one swarm that says nothing of who it is elsewhere. In one of 500 swarms of 64 two share one.
    fn alias(&self, key: FileKey, node: &NodeId) -> String {
        format!("{:05x}", self.names.hash_one((key.1, node)) & 0xfffff)
    }
}

/// Notes what is held, and says what was gained over the window.
fn gained_bps(track: &mut VecDeque<(u64, u32)>, now_ms: u64, leaves: u32) -> Option<u64> {
    if track.back().is_some_and(|(_, before)| *before > leaves) {
        track.clear();
    }
    track.push_back((now_ms, leaves));
    while track.get(1).is_some_and(|(at_ms, _)| at_ms + WINDOW_MS <= now_ms) {
        track.pop_front();
    }
    let (since_ms, before) = *track.front()?;
    let took_ms = now_ms.saturating_sub(since_ms);
    let bits = u64::from(leaves - before) * LEAF_BYTES * 8;
    (took_ms >= LEAST_MS).then(|| bits * 1_000 / took_ms)
}

impl Observatory {
    /// A swarm with its members and plans; none when nobody is in it.
    pub async fn watch_swarm(&self, key: FileKey) -> Option<Arc<Watched>> {
        if let Some(recent) = locked(&self.swarm_watch).recent(clock::now_ms(), key) {
            return Some(recent);
        }
        let view = self.planner_swarm.send(ObserveSwarm(key)).await.ok().flatten()?;
        Some(locked(&self.swarm_watch).handle_view(clock::now_ms(), key, view))
    }

    /// The swarm of a content of either kind, with everybody's key.
    pub async fn explain(&self, content_id: ContentId) -> Option<Arc<Watched>> {
        let recent = locked(&self.swarm_watch).recent_of(clock::now_ms(), content_id);
        if recent.is_some() {
            return recent;
        }
        for kind in KINDS {
            if let Some(watched) = self.watch_swarm((kind, content_id)).await {
                return Some(watched);
            }
        }
        None
    }

    /// The same for everybody's eyes: nobody's key or address in it.
    pub async fn picture(&self, content_id: ContentId) -> Option<Picture> {
        let watched = self.explain(content_id).await?;
        let watch = locked(&self.swarm_watch);
        let key = (watched.view.kind, content_id);
        Some(picture(&watched, |node| watch.alias(key, node)))
    }
}

/// A swarm to be drawn; the answer of `GET /api/swarms/{content_id}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// Audio or video.
    pub kind: MediaKind,
    /// Which content.
    pub content_id: ContentId,
    /// Mean rate of the content, or 0 when unknown.
    pub bitrate_bps: u64,
    /// The rate at which every viewer can be fed, or 0 when unknown: what the plans predict.
    pub sustainable_bps: u64,
    /// That rate over the bitrate; none while either is unknown.
    pub sigma: Option<f64>,
    /// What the viewers that still need something have gained lately, on the average; none when that is not known.
    pub achieved_bps: Option<u64>,
    /// What the library keeps for first copies, or 0 when unknown.
    pub origin_reserve_bps: u64,
    /// What keeps the sustainable rate from being higher.
    pub limit: Limit,
    /// The epoch of the newest plan.
    pub epoch: u64,
    /// Members that are not shown.
    pub hidden: usize,
    /// The library, those that have everything, viewers in the order of their playheads, the rest.
    pub nodes: Vec<PictureNode>,
    /// What was planned, by viewer and place.
    pub edges: Vec<PictureEdge>,
}

/// A member of a drawn swarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureNode {
    /// A name within this swarm.
    pub name: String,
    /// Peer or origin.
    pub role: Role,
    /// Whether it wants the content.
    pub is_viewer: bool,
    /// Whether it can be dialled.
    pub reach: Reach,
    /// How much of the content it holds, 0 to 1.
    pub held: f64,
    /// Where its playhead is, 0 to 1.
    pub playhead: f64,
    /// What it can send, or 0 when unknown.
    pub uplink_bps: u64,
    /// What its plan predicts that it gets, or 0 when unknown.
    pub predicted_bps: u64,
    /// What it has gained lately; none when it has everything or was not watched for long enough.
    pub achieved_bps: Option<u64>,
    /// The epoch of its plan; 0 where it has none.
    pub epoch: u64,
}

/// A source in a viewer's plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PictureEdge {
    /// The viewer, as an index of the nodes.
    pub viewer: usize,
    /// The source, as an index of the nodes.
    pub source: usize,
    /// Its place in the plan, 1 for the best.
    pub place: usize,
    /// The way.
    pub path: PathKind,
    /// Whether a peer or the tracker relays, if it is relayed.
    pub relay: Option<Relay>,
    /// Whether it is connected.
    pub connected: bool,
    /// What the link was measured to carry, or 0.
    pub rate_bps: u64,
    /// The round trip, or 0.
    pub rtt_us: u32,
    /// What the viewer may take of it, or 0 where nothing was told; 1 for nothing of it.
    pub share_bps: u64,
}

fn picture(watched: &Watched, alias: impl Fn(&NodeId) -> String) -> Picture {
    let view = &watched.view;
    let share = |leaves: u32| f64::from(leaves) / f64::from(view.leaves.max(1));
    let members = view.members.iter().zip(&watched.achieved_bps);
    let nodes = members.clone().map(|(member, achieved_bps)| PictureNode {
        name: alias(&member.node),
        role: member.role,
        is_viewer: member.is_viewer,
        reach: member.reach,
        held: share(member.leaves).min(1.0),
        playhead: share(member.playhead_leaf).min(1.0),
        uplink_bps: member.uplink_bps,
        predicted_bps: if member.is_viewer { member.predicted_bps } else { 0 },
        achieved_bps: *achieved_bps,
        epoch: member.epoch,
    });
    let gained: Vec<u64> =
        members.filter(|(member, _)| member.is_viewer).filter_map(|(_, achieved)| *achieved).collect();
    let is_known = view.sustainable_bps > 0 && view.bitrate_bps > 0;
    Picture {
        kind: view.kind,
        content_id: view.content_id,
        bitrate_bps: view.bitrate_bps,
        sustainable_bps: view.sustainable_bps,
        sigma: is_known.then(|| view.sustainable_bps as f64 / view.bitrate_bps as f64),
        achieved_bps: gained.iter().sum::<u64>().checked_div(gained.len() as u64),
        origin_reserve_bps: view.origin_reserve_bps,
        limit: view.limit,
        epoch: view.epoch,
        hidden: view.hidden,
        nodes: nodes.collect(),
        edges: view
            .edges
            .iter()
            .map(|edge| PictureEdge {
                viewer: edge.viewer,
                source: edge.source,
                place: edge.place,
                path: edge.path,
                relay: edge.relay,
                connected: edge.connected,
                rate_bps: edge.rate_bps,
                rtt_us: edge.rtt_us,
                share_bps: edge.share_bps,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path_planner::view::Member;

    const KEY: FileKey = (MediaKind::Video, ContentId([7; 32]));

    #[test]
    fn what_was_gained_is_measured_over_the_window() {
        let mut watch = SwarmWatch::default();
        assert_eq!(watch.handle_view(0, KEY, view(0)).achieved_bps, [None]);
        // 10 leaves a second are 1.3 Mbit/s, told in steps of two seconds.
        let mut last = None;
        for second in 1..30 {
            let leaves = second as u32 / 2 * 20;
            last = watch.handle_view(second * 1_000, KEY, view(leaves)).achieved_bps[0];
        }
        let bps = last.expect("a rate");
        assert!((1_100_000..1_500_000).contains(&bps), "{bps}");
        assert_eq!(watch.handle_view(30_000, KEY, view(1_000)).achieved_bps, [None], "all of it");
    }

    #[test]
    fn who_loses_what_it_held_begins_anew() {
        let mut watch = SwarmWatch::default();
        watch.handle_view(0, KEY, view(500));
        assert_eq!(watch.handle_view(5_000, KEY, view(20)).achieved_bps, [None]);
        assert_eq!(watch.handle_view(10_000, KEY, view(20)).achieved_bps, [Some(0)]);
    }

    #[test]
    fn what_nobody_looks_at_is_forgotten() {
        let mut watch = SwarmWatch::default();
        watch.handle_view(0, KEY, view(5));
        let other = (MediaKind::Audio, KEY.1);
        watch.handle_view(FORGET_MS, other, SwarmView { kind: MediaKind::Audio, ..view(5) });
        assert!(watch.held.keys().all(|(key, _)| *key == other));
        assert_eq!(watch.recent.len(), 1);
        assert!(watch.recent(FORGET_MS + FRESH_MS - 1, other).is_some());
        assert!(watch.recent(FORGET_MS + FRESH_MS, other).is_none());
    }

    #[test]
    fn who_has_left_a_swarm_is_forgotten_while_others_are_looked_at() {
        let mut watch = SwarmWatch::default();
        let passer_by = |n| {
            let mut view = view(5);
            view.members[0].node = NodeId([n; 32]);
            view
        };
        for n in 0..100 {
            watch.handle_view(u64::from(n) * 1_000, KEY, passer_by(n));
        }
        assert_eq!(watch.held.len(), FORGET_MS as usize / 1_000);
        watch.forget(99_000 + FORGET_MS);
        assert!(watch.held.is_empty() && watch.recent.is_empty(), "nobody has looked since");
    }

    #[test]
    fn a_fresh_view_is_found_whatever_the_kind() {
        let mut watch = SwarmWatch::default();
        let sound = (MediaKind::Audio, KEY.1);
        watch.handle_view(0, sound, SwarmView { kind: MediaKind::Audio, ..view(5) });
        let found = watch.recent_of(FRESH_MS - 1, KEY.1).expect("a view");
        assert_eq!(found.view.kind, MediaKind::Audio);
        assert_eq!(watch.recent_of(FRESH_MS, KEY.1), None);
    }

    #[test]
    fn an_alias_is_lasting_and_of_one_swarm_only() {
        let watch = SwarmWatch::default();
        let node = |n| NodeId([n; 32]);
        assert_eq!(watch.alias(KEY, &node(1)), watch.alias(KEY, &node(1)));
        let elsewhere = |n| watch.alias((KEY.0, ContentId([8; 32])), &node(n)) != watch.alias(KEY, &node(n));
        assert!((0..9).any(elsewhere));
        assert!((0..9).all(|n| watch.alias(KEY, &node(n)).len() == 5));
        let text = serde_json::to_string(&picture(
            &Watched { view: view(5), achieved_bps: vec![Some(9)] },
            |node| watch.alias(KEY, node),
        ));
        assert!(!text.expect("json").contains(&node(1).to_string()));
    }

    fn view(leaves: u32) -> SwarmView {
        let member = Member {
            node: NodeId([1; 32]),
            role: Role::Peer,
            is_viewer: true,
            reach: Reach::Open,
            leaves,
            playhead_leaf: 0,
            uplink_bps: 0,
            tracker_rtt_us: 0,
            predicted_bps: 0,
            epoch: 1,
        };
        SwarmView {
            kind: KEY.0,
            content_id: KEY.1,
            bitrate_bps: 1_000_000,
            leaves: 1_000,
            sustainable_bps: 0,
            origin_reserve_bps: 0,
            limit: Limit::Unknown,
            epoch: 1,
            hidden: 0,
            members: vec![member],
            edges: Vec::new(),
        }
    }
}
