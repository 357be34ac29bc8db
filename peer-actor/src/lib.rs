//! The Rusteze peer: actors around pure states, transport, chunk store and HTTP gateway.

pub mod backoff;
pub mod buffers;
pub mod chunk_scheduler;
pub mod clock;
pub mod config;
pub mod discovery;
pub mod file_index;
pub mod gateway;
pub mod identity;
pub mod mailbox;
pub mod node;
pub mod path_planner;
pub mod probe;
pub mod relay;
pub mod session;
pub mod store;
pub mod timer;
pub mod traffic;
pub mod transport;
pub mod uploader;
