//! The links that are served, each by its session.
//!
//! Invariant: at most one a node, and it is the one that node is reached by now. A session that ends lets its link linger for a last word, so
//! that a link is open says nothing: what comes on it after its `Down`, or after the `Up` of another, is nobody's.

use std::{collections::BTreeMap, sync::Arc};

use shared::NodeId;

use crate::{
    session::{Remote, SessionId},
    transport::LinkHandle,
};

/// Whether what a session brings is for the uploader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// From now on.
    New,
    /// It was before.
    Known,
    /// Its node is not reached by its link.
    Refused,
}

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By what each node is reached, and the session that brought something over it.
    reached: BTreeMap<NodeId, (LinkHandle, Option<SessionId>)>,
    served: BTreeMap<SessionId, (LinkHandle, Arc<Remote>)>,
}

impl Links {
    /// A node is reached by `link`; answers which session ends with that.
    pub(super) fn up(&mut self, node: NodeId, link: LinkHandle) -> Option<SessionId> {
        if self.reached.get(&node).is_some_and(|(reached, _)| reached.is_same(&link)) {
            return None;
        }
        let (_, replaced) = self.reached.insert(node, (link, None))?;
        self.end(replaced)
    }

    /// A node is not reached any more; answers which session ends with that.
    pub(super) fn down(&mut self, node: &NodeId) -> Option<SessionId> {
        let (_, lost) = self.reached.remove(node)?;
        self.end(lost)
    }

    /// A session brings something.
    pub(super) fn admit(&mut self, session: SessionId, link: &LinkHandle, remote: &Arc<Remote>) -> Admission {
        if self.served.contains_key(&session) {
            return Admission::Known;
        }
        let reached = self.reached.get_mut(&remote.node).filter(|(reached, _)| reached.is_same(link));
        let Some((_, served)) = reached else { return Admission::Refused };
        *served = Some(session);
        self.served.insert(session, (link.clone(), remote.clone()));
        Admission::New
    }

    pub(super) fn get(&self, session: SessionId) -> Option<&(LinkHandle, Arc<Remote>)> {
        self.served.get(&session)
    }

    /// The session of a node.
    pub(super) fn of(&self, node: &NodeId) -> Option<SessionId> {
        self.reached.get(node).and_then(|(_, session)| *session)
    }

    fn end(&mut self, session: Option<SessionId>) -> Option<SessionId> {
        session.inspect(|session| drop(self.served.remove(session)))
    }
}
