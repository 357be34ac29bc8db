//! peer-actor
