//! The desktop client.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`] | the window: `logic` every frame, `ui` draws, commands between them |
//! | [`backend`] | the actix thread with the node |
//! | [`options`] | the command line |
//! | [`model`] | what the window says, computed without egui |
//! | [`views`] | the pages |
//! | [`widgets`] | reusable parts |
//! | [`theme`] | colours, distances, type |
//!
//! The window keeps the last snapshot and sends commands; it never holds a copy of the node's state that it edits.

pub mod app;
pub mod backend;
pub mod model;
pub mod options;
pub mod theme;
pub mod views;
pub mod widgets;
