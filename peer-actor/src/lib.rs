//! The Rusteze peer: actors around pure states, transport, chunk store and HTTP gateway.

pub mod clock;
pub mod identity;
pub mod mailbox;
pub mod session;
pub mod transport;
