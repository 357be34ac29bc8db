//! The endpoint other nodes dial: an upgrade becomes a session the planner owns.
//!
//! The Hello that comes with the upgrade is answered here, by the session that goes on behind it, because the answer leaves with the
//! upgrade's own. It proves this node's key and tells nothing else; what the dialler wants is heard by nobody before it has proved its.

use actix::Recipient;
use actix_web::{HttpRequest, HttpResponse, web};

use super::messages::IncomingLink;
use crate::{
    mailbox,
    session::{self, Audience, LocalNode},
    transport,
};

/// Whom a node's links are for: `node`, where it is known, of the node's own kind.
pub(super) const fn audience(local: &LocalNode, node: Option<shared::NodeId>) -> Audience {
    Audience { node, kind: local.kind, tracker: false }
}

/// Upgrades an HTTP request to a link of the node `local`. The server must have been built with
/// [`keep_socket`](transport::keep_socket).
pub fn accept_peer(
    request: &HttpRequest,
    payload: web::Payload,
    local: &LocalNode,
    planner: &Recipient<IncomingLink>,
) -> Result<HttpResponse, actix_web::Error> {
    let hello = transport::greeting(request)?;
    let (mut response, link, events) = transport::accept(request, payload)?;
    let (state, answer) = session::receive(local.clone(), audience(local, None), hello);
    if let Some(answer) = answer {
        transport::answer_greeting(&mut response, &answer);
    }
    mailbox::post(planner, IncomingLink { link, events, state: Box::new(state) });
    Ok(response)
}
