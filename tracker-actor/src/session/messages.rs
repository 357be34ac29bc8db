//! What a session actor is told. The pump awaits the answer to each [`LinkArrived`], so at most one waits.

use actix::Message;
use peer_actor::transport::LinkEvent;

use super::state::CloseReason;

/// Something happened on the link. The answer is how many microseconds the pump rests before it reads on.
#[derive(Debug, Message)]
#[rtype(result = "u64")]
pub struct LinkArrived(pub LinkEvent);

/// End the session, for this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct EndSession(pub CloseReason);
