//! The Rusteze tracker: it knows who is there and who has what, plans the best paths for the data, and is itself a source of media.

pub mod deadline;
pub mod file_index;
pub mod path_planner;
pub mod registry;
pub mod session;
