//! Discovery as a pure state machine: when to dial, what each state of the link means, what to pass on.
//!
//! Drive it: `handle_*`, drain [`DiscoveryState::poll_output`], send [`DiscoveryState::poll_send`] while the link has room, arm a timer
//! for [`DiscoveryState::poll_timeout`]. Shells number sessions; news of any but the present one change nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use shared::{
    ContentId, NodeId,
    snapshot::TrackerStatus,
    wire::{
        CatalogueEntry, FileEntry, GetHints, GoodbyeReason, Hints, Holdings, LinkReport, PathKind, PathOffer,
        PathRefused, Plan, PutHints, Register, RejectReason, RelayAnswer, RelayGrant, RequestPath, Role,
        TRACKER_PATH, TrackerMessage,
    },
};

use super::{
    catalogue::Catalogue,
    hints_cache::{Asked, HintsCache},
    messages::{DiscoveryConfig, PathAnswer},
    outbox::Outbox,
};
use crate::{
    backoff::{Backoff, Random},
    session::{CloseReason, SessionId},
};

/// The first retry comes within half a second, and none waits longer than four.
const RETRY: Backoff = Backoff { first_ms: 450, cap_ms: 4_000 };
/// How long to leave a tracker alone that refused this node for a reason that stays.
const REFUSED_RETRY_MS: u64 = 30_000;
/// How long the answer to Register may take.
const REGISTER_TIMEOUT_MS: u64 = 10_000;
/// A registration that held this long makes the next failure the first.
const STABLE_MS: u64 = 10_000;
/// The least time between two hints of own files: 20 a second, 1.5 MB/s at the most.
const HINTS_INTERVAL_MS: u64 = 50;

/// What the shell does next.
#[derive(Debug, PartialEq)]
pub enum DiscoveryOutput {
    /// Open a link to the tracker.
    Dial(String),
    /// End this session.
    Close(SessionId, GoodbyeReason),
    /// Pass a plan on.
    Plan(Plan),
    /// Pass the tracker's word on a path on.
    Path(PathAnswer),
    /// Pass on that a node is gone.
    Gone(NodeId),
    /// Let two others meet here, and say with [`DiscoveryState::handle_granted`] whether there is room.
    Grant(RelayGrant),
    /// The catalogue or the status changed.
    Network(Arc<Vec<CatalogueEntry>>, TrackerStatus),
    /// Answer those who wait for these hints.
    Hints(ContentId, Option<Arc<Hints>>),
    /// Read the hints of an own file and give them to [`DiscoveryState::handle_own_hints`].
    ReadHints(ContentId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Waiting { due_ms: u64 },
    Dialling,
    Greeting { session: SessionId },
    Registering { session: SessionId, due_ms: u64 },
    Connected { session: SessionId, since_ms: u64 },
    Stopped,
}

/// See the file's header.
#[derive(Debug)]
pub struct DiscoveryState {
    url: String,
    link: Link,
    status: TrackerStatus,
    tells_status: bool,
    failures: u32,
    random: Random,
    /// The tracker's end of the present link, where its relay listens too.
    tracker: Option<SocketAddr>,
    /// The present tracker's epochs of the plans that were passed on.
    plan_epochs: BTreeMap<ContentId, u64>,
    plan_count: u64,
    outbox: Outbox,
    catalogue: Catalogue,
    hints: HintsCache,
    shares_hints: bool,
    reading_hints: bool,
    next_hints_ms: u64,
    outputs: VecDeque<DiscoveryOutput>,
}

impl DiscoveryState {
    /// A state that dials at once. `shares_hints` says whether hints of own files can be read.
    pub fn new(now_ms: u64, config: &DiscoveryConfig, shares_hints: bool) -> Self {
        let register = Register {
            listen_port: config.listen_port,
            addresses: config.addresses.iter().copied().take(shared::limits::MAX_ADDRESSES).collect(),
            upload_limit_bps: config.upload_limit_bps,
            relay_limit_bps: config.relay_limit_bps,
        };
        Self {
            url: format!("{}{TRACKER_PATH}", config.tracker_url.trim_end_matches('/')),
            link: Link::Waiting { due_ms: now_ms },
            status: TrackerStatus::Connecting,
            tells_status: true,
            failures: 0,
            random: Random::new(config.seed),
            tracker: None,
            plan_epochs: BTreeMap::new(),
            plan_count: 0,
            outbox: Outbox::new(register),
            catalogue: Catalogue::new(config.local.kind),
            hints: HintsCache::default(),
            shares_hints,
            reading_hints: false,
            next_hints_ms: now_ms,
            outputs: VecDeque::new(),
        }
    }

    /// The WebSocket stands; its session is named.
    pub fn handle_dialled(&mut self, session: SessionId) {
        if self.link == Link::Dialling {
            self.link = Link::Greeting { session };
        } else {
            self.outputs.push_back(DiscoveryOutput::Close(session, GoodbyeReason::Replaced));
        }
    }

    /// No WebSocket could be opened.
    pub fn handle_dial_failed(&mut self, now_ms: u64, reason: &str) {
        if self.link == Link::Dialling {
            self.wait(now_ms, format!("cannot reach the tracker at {}: {reason}", self.url));
        }
    }

    /// Both keys are proved. `tracker` is the address at the other end of the socket.
    pub fn handle_opened(&mut self, now_ms: u64, session: SessionId, tracker: Option<SocketAddr>) {
        if self.link != (Link::Greeting { session }) {
            return;
        }
        self.link = Link::Registering { session, due_ms: now_ms + REGISTER_TIMEOUT_MS };
        self.plan_epochs.clear();
        self.tracker = tracker;
        self.outbox.opened();
        for content_id in self.hints.pending() {
            self.outbox.request(TrackerMessage::GetHints(GetHints { content_id }));
        }
    }

    /// A session ended.
    pub fn handle_closed(&mut self, now_ms: u64, session: SessionId, reason: &CloseReason) {
        if self.session() != Some(session) {
            return;
        }
        self.outbox.closed();
        if let Link::Connected { since_ms, .. } = self.link
            && now_ms >= since_ms + STABLE_MS
        {
            self.failures = 0;
        }
        match refusal(reason) {
            Some(reason) => {
                self.link = Link::Waiting { due_ms: now_ms + REFUSED_RETRY_MS };
                self.set_status(TrackerStatus::Refused { reason });
            }
            None => self.wait(now_ms, format!("lost the tracker at {}: {reason}", self.url)),
        }
    }

    /// A frame of the tracker's conversation.
    pub fn handle_message(&mut self, now_ms: u64, session: SessionId, message: TrackerMessage) {
        if self.session() != Some(session) {
            return;
        }
        match message {
            TrackerMessage::Registered(registered) => {
                self.link = Link::Connected { session, since_ms: now_ms };
                self.outbox.registered(registered.files_version);
                self.set_status(TrackerStatus::Connected);
            }
            TrackerMessage::CatalogueDelta(delta) => self.catalogue.apply(delta),
            TrackerMessage::Plan(plan) => self.handle_plan(plan),
            TrackerMessage::PeerGone(gone) => self.outputs.push_back(DiscoveryOutput::Gone(gone.node)),
            TrackerMessage::PathOffer(offer) => self.handle_offer(offer),
            TrackerMessage::PathRefused(refused) => {
                self.outputs.push_back(DiscoveryOutput::Path(PathAnswer::Refused(refused)));
            }
            TrackerMessage::RelayGrant(grant) => self.outputs.push_back(DiscoveryOutput::Grant(grant)),
            TrackerMessage::HintsReply(reply) => {
                if let Some(hints) = self.hints.arrived(reply.content_id, reply.hints) {
                    self.outputs.push_back(DiscoveryOutput::Hints(reply.content_id, hints));
                }
            }
            TrackerMessage::Register(_)
            | TrackerMessage::FilesDelta(_)
            | TrackerMessage::PutHints(_)
            | TrackerMessage::GetHints(_)
            | TrackerMessage::FindPeers(_)
            | TrackerMessage::ForgetPeers(_)
            | TrackerMessage::LinkReport(_)
            | TrackerMessage::Holdings(_)
            | TrackerMessage::RequestPath(_)
            | TrackerMessage::RelayAnswer(_)
            | TrackerMessage::RelayUse(_) => {
                self.outputs.push_back(DiscoveryOutput::Close(session, GoodbyeReason::Violation));
            }
        }
    }

    /// The node streams a content, or its playhead jumped. Before the tracker's first plan, the seeds the catalogue names are one: they are
    /// dialled while the tracker is asked, or although it is away.
    pub fn handle_watch(&mut self, content_id: ContentId, playhead_leaf: u32) {
        let is_new = !self.outbox.is_watched(&content_id);
        self.outbox.watch(content_id, playhead_leaf);
        if let Some(plan) = self.catalogue.plan_of_seeds(&content_id).filter(|_| is_new) {
            self.pass_on(plan);
        }
    }

    /// The node streams a content no more.
    pub fn handle_forget(&mut self, content_id: ContentId) {
        if !self.outbox.forget(content_id) {
            return;
        }
        self.plan_epochs.remove(&content_id);
        // A plan may be on its way to the planner behind the word that it is not wanted: an empty one comes last.
        self.pass_on(Plan::of_sources(content_id, 0, Vec::new()));
    }

    /// The node's own files changed.
    pub fn handle_own_files(&mut self, changed: Vec<FileEntry>, removed: Vec<ContentId>) {
        self.outbox.change_files(changed, removed);
    }

    /// What [`DiscoveryOutput::ReadHints`] asked for.
    pub fn handle_own_hints(&mut self, now_ms: u64, content_id: ContentId, hints: Option<Hints>) {
        self.reading_hints = false;
        self.next_hints_ms = now_ms + HINTS_INTERVAL_MS;
        if let Some(hints) = hints.filter(Hints::is_valid)
            && self.outbox.has_file(&content_id)
        {
            self.outbox.request(TrackerMessage::PutHints(PutHints { content_id, hints }));
        }
    }

    /// The path planner's measurements.
    pub fn handle_report(&mut self, report: LinkReport) {
        self.outbox.report(report);
    }

    /// What the node holds of a content.
    pub fn handle_holdings(&mut self, holdings: Holdings) {
        self.outbox.hold(holdings);
    }

    /// Whether a connection of two others will be relayed here.
    pub fn handle_granted(&mut self, token: [u8; 16], granted: bool) {
        // Whom the answer does not reach asks another relay.
        self.outbox.request(TrackerMessage::RelayAnswer(RelayAnswer { token, granted }));
    }

    /// How many connections are relayed here, and how many bytes ever were.
    pub const fn handle_relay_use(&mut self, in_use: u32, carried_bytes: u64) {
        self.outbox.relays(in_use, carried_bytes);
    }

    /// The path planner asks for a path.
    pub fn handle_ask_path(&mut self, node: NodeId, kind: PathKind) {
        let is_connected = matches!(self.link, Link::Connected { .. });
        if !is_connected || !self.outbox.request(TrackerMessage::RequestPath(RequestPath { node, kind })) {
            let refused = PathAnswer::Refused(PathRefused { node, kind });
            self.outputs.push_back(DiscoveryOutput::Path(refused));
        }
    }

    /// Somebody asks for hints of a file of the network.
    pub fn handle_fetch_hints(&mut self, now_ms: u64, content_id: ContentId) {
        match self.hints.ask(now_ms, content_id) {
            Asked::Answered(hints) => self.outputs.push_back(DiscoveryOutput::Hints(content_id, hints)),
            Asked::Ask => {
                // Without a link it is asked as soon as there is one.
                self.outbox.request(TrackerMessage::GetHints(GetHints { content_id }));
            }
            Asked::Waits => {}
        }
    }

    /// The node stops.
    pub fn handle_stop(&mut self) {
        if let Some(session) = self.session() {
            self.outputs.push_back(DiscoveryOutput::Close(session, GoodbyeReason::Leaving));
        }
        self.outbox.closed();
        self.link = Link::Stopped;
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        match self.link {
            Link::Waiting { due_ms } if due_ms <= now_ms => {
                self.link = Link::Dialling;
                if !matches!(self.status, TrackerStatus::Refused { .. }) {
                    self.set_status(TrackerStatus::Connecting);
                }
                self.outputs.push_back(DiscoveryOutput::Dial(self.url.clone()));
            }
            Link::Registering { session, due_ms } if due_ms <= now_ms => {
                self.outputs.push_back(DiscoveryOutput::Close(session, GoodbyeReason::Idle));
                self.outbox.closed();
                self.wait(now_ms, format!("the tracker at {} does not register anybody", self.url));
            }
            Link::Waiting { .. }
            | Link::Dialling
            | Link::Greeting { .. }
            | Link::Registering { .. }
            | Link::Connected { .. }
            | Link::Stopped => {}
        }
        while let Some(content_id) = self.hints.expire(now_ms) {
            self.outputs.push_back(DiscoveryOutput::Hints(content_id, None));
        }
        if self.hints_due_ms().is_some_and(|due_ms| due_ms <= now_ms)
            && let Some(content_id) = self.outbox.poll_untold_hints()
        {
            self.reading_hints = true;
            self.outputs.push_back(DiscoveryOutput::ReadHints(content_id));
        }
        let publishes = self.catalogue.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        if publishes {
            self.catalogue.publish(now_ms);
        }
        if publishes || std::mem::take(&mut self.tells_status) {
            let (files, status) = (self.catalogue.published(), self.status.clone());
            self.outputs.push_back(DiscoveryOutput::Network(files, status));
        }
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(u64, &'static str)> {
        let link = match self.link {
            Link::Waiting { due_ms } => Some((due_ms, "dial")),
            Link::Registering { due_ms, .. } => Some((due_ms, "registration")),
            Link::Dialling | Link::Greeting { .. } | Link::Connected { .. } => None,
            Link::Stopped => return None,
        };
        let status = self.tells_status.then_some((0, "status"));
        let catalogue = self.catalogue.due_ms().map(|due_ms| (due_ms, "catalogue"));
        let hints = self.hints_due_ms().map(|due_ms| (due_ms, "own hints"));
        let asked = self.hints.due_ms().map(|due_ms| (due_ms, "unanswered hints"));
        [link, status, catalogue, hints, asked].into_iter().flatten().min_by_key(|(due_ms, _)| *due_ms)
    }

    /// The next thing to do; drain after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<DiscoveryOutput> {
        self.outputs.pop_front()
    }

    /// The next thing to tell the tracker; asked only while the link has room.
    pub fn poll_send(&mut self) -> Option<TrackerMessage> {
        self.outbox.poll()
    }

    /// How the tracker link stands.
    pub const fn status(&self) -> &TrackerStatus {
        &self.status
    }

    const fn session(&self) -> Option<SessionId> {
        match self.link {
            Link::Greeting { session }
            | Link::Registering { session, .. }
            | Link::Connected { session, .. } => Some(session),
            Link::Waiting { .. } | Link::Dialling | Link::Stopped => None,
        }
    }

    fn hints_due_ms(&self) -> Option<u64> {
        let is_due = self.shares_hints && !self.reading_hints && self.outbox.has_untold_hints();
        is_due.then_some(self.next_hints_ms)
    }

    fn wait(&mut self, now_ms: u64, reason: String) {
        self.failures += 1;
        let retry_ms = RETRY.delay_ms(self.failures, &mut self.random);
        self.link = Link::Waiting { due_ms: now_ms + retry_ms };
        self.set_status(TrackerStatus::Waiting { retry_ms, reason });
    }

    fn set_status(&mut self, status: TrackerStatus) {
        self.tells_status |= self.status != status;
        self.status = status;
    }

    fn handle_plan(&mut self, plan: Plan) {
        if !self.outbox.is_watched(&plan.content_id) {
            return;
        }
        if self.plan_epochs.get(&plan.content_id).is_some_and(|last| plan.epoch <= *last) {
            return;
        }
        self.plan_epochs.insert(plan.content_id, plan.epoch);
        self.pass_on(plan);
    }

    /// Another tracker, or the same after a restart, counts its epochs anew: here they are counted on.
    fn pass_on(&mut self, mut plan: Plan) {
        for source in &mut plan.sources {
            // The tracker's own library is reached where the tracker is, under whatever address that is from here.
            if source.role == Role::Origin && source.addresses.is_empty() {
                source.addresses.extend(self.tracker);
            }
        }
        self.plan_count += 1;
        plan.epoch = self.plan_count;
        self.outputs.push_back(DiscoveryOutput::Plan(plan));
    }

    fn handle_offer(&mut self, mut offer: PathOffer) {
        if offer.kind == PathKind::Relayed && offer.addresses.is_empty() {
            offer.addresses.extend(self.tracker);
        }
        self.outputs.push_back(DiscoveryOutput::Path(PathAnswer::Offered(offer)));
    }
}

/// Why the tracker will not have this node however often it asks, in words; none where another try may help.
fn refusal(reason: &CloseReason) -> Option<String> {
    match reason {
        CloseReason::Rejected(
            refusal @ (RejectReason::Version(_)
            | RejectReason::Proof
            | RejectReason::Banned
            | RejectReason::NotServed),
        )
        | CloseReason::TurnedAway(refusal) => Some(refusal.to_string()),
        CloseReason::Rejected(RejectReason::Full | RejectReason::Duplicate)
        | CloseReason::Link(_)
        | CloseReason::Goodbye(_)
        | CloseReason::Ended(_)
        | CloseReason::Silent
        | CloseReason::Deaf
        | CloseReason::HandshakeTimeout
        | CloseReason::Violation(_) => None,
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
