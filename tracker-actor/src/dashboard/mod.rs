//! # The dashboard: who is here and what there is, at a glance
//!
//! `/` is a page without any dependency, fed by the JSON under `/api/`. It shows files, counts and rates, never who a client is: that is
//! the console's, and the console is for this host.

pub mod api;

/// The page.
pub const PAGE: &str = include_str!("page.html");
