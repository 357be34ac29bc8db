//! tracker-actor
