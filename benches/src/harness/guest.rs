//! A node whose every frame the test chooses: the real handshake and upkeep over a WebSocket by hand.
//!
//! It does nothing by itself but what a session must (prove its key, answer pings); whether it reads at all is up to the test.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use peer_actor::{
    clock,
    identity::{Identity, random_bytes},
    session::{Audience, CloseReason, LocalNode, SessionOutput, SessionState, Side},
};
use shared::{
    MediaKind,
    wire::{self, Frame, Message, PEER_PATH, PeerMessage, Role, TRACKER_PATH},
};

use super::raw::{Heard, Socket};

/// A guest with an open session.
#[derive(Debug)]
pub struct Guest {
    /// The socket below, for what no session would send.
    pub socket: Socket,
    state: SessionState,
    names: wire::Names,
    inbox: VecDeque<Frame>,
    ended: Option<CloseReason>,
}

/// A new node of this kind.
pub fn node(kind: MediaKind) -> Result<LocalNode> {
    let identity = Arc::new(Identity::generate()?);
    Ok(LocalNode { identity, role: Role::Peer, kind: Some(kind), agent: "rusteze-guest/1".into() })
}

impl Guest {
    /// Opens a session with a peer.
    pub fn at_peer(addr: SocketAddr, local: &LocalNode, receive_bytes: Option<usize>) -> Result<Self> {
        Self::open(addr, PEER_PATH, local, receive_bytes)
    }

    /// Opens a session with a tracker.
    pub fn at_tracker(addr: SocketAddr, local: &LocalNode, receive_bytes: Option<usize>) -> Result<Self> {
        Self::open(addr, TRACKER_PATH, local, receive_bytes)
    }

    fn open(addr: SocketAddr, path: &str, local: &LocalNode, receive_bytes: Option<usize>) -> Result<Self> {
        let socket = Socket::upgrade(addr, path, receive_bytes)?;
        let audience = Audience { node: None, kind: local.kind, tracker: path == TRACKER_PATH };
        let state =
            SessionState::new(clock::now_ms(), local.clone(), Side::Dialler, audience, random_bytes()?);
        let mut guest =
            Self { socket, state, names: wire::Names::default(), inbox: VecDeque::new(), ended: None };
        let deadline = Instant::now() + Duration::from_secs(5);
        guest.drive()?;
        while guest.state.remote().is_none() {
            ensure!(Instant::now() < deadline, "no session within 5 s");
            guest.listen(Duration::from_millis(100))?;
            if let Some(reason) = &guest.ended {
                bail!("no session: {reason}");
            }
        }
        Ok(guest)
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: impl Into<Frame>) -> Result<()> {
        self.socket.send(&wire::encode(&frame.into()))
    }

    /// The next frame that is neither upkeep nor credit; none when there was none in time or the session has ended.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Frame>> {
        let deadline = Instant::now() + patience;
        while self.inbox.is_empty() && self.ended.is_none() && Instant::now() < deadline {
            self.listen(deadline.saturating_duration_since(Instant::now()))?;
        }
        Ok(self.inbox.pop_front())
    }

    /// Waits until a peer says such a thing; what it says before is passed over. A source may open at a viewer what that opens at it.
    pub fn await_word(&mut self, patience: Duration, is_it: impl Fn(&PeerMessage) -> bool) -> Result<()> {
        let deadline = Instant::now() + patience;
        while let Some(frame) = self.next(deadline.saturating_duration_since(Instant::now()))? {
            if matches!(&frame.message, Message::Peer(message) if is_it(message)) {
                return Ok(());
            }
        }
        bail!("it was not said within {patience:?}")
    }

    /// Why the session has ended, if it has.
    pub const fn ended(&self) -> Option<&CloseReason> {
        self.ended.as_ref()
    }

    fn listen(&mut self, patience: Duration) -> Result<()> {
        match self.socket.hear(patience.min(Duration::from_millis(200)))? {
            Heard::Message(message) => {
                let frame = wire::decode(&self.names.lengthen(&message.into())?)?;
                self.state.handle_frame(clock::now_ms(), clock::now_us(), frame, random_bytes()?);
            }
            Heard::Nothing => self.state.handle_timeout(clock::now_ms(), clock::now_us()),
            Heard::End => self.state.handle_link_closed(peer_actor::transport::CloseCause::Remote),
        }
        self.drive()
    }

    fn drive(&mut self) -> Result<()> {
        while let Some(output) = self.state.poll_output() {
            match output {
                SessionOutput::Send(frame) => self.socket.send(&wire::encode(&frame))?,
                SessionOutput::Deliver(Frame { message: Message::Link(_), .. }) => {}
                SessionOutput::Deliver(frame) => self.inbox.push_back(frame),
                SessionOutput::Closed(reason) => self.ended = Some(reason),
                SessionOutput::Opened(_) | SessionOutput::Measured(_) | SessionOutput::Probed(_) => {}
            }
        }
        Ok(())
    }
}
