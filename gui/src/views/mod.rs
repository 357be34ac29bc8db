//! The pages of the window: `fn <thing>_ui(ui, scene, commands)`.
//!
//! Invariant: a view reads the scene and emits commands; it keeps no state but egui's own (scroll positions, focus).

pub mod audio_player;
pub mod console;
pub mod file_menu;
pub mod library;
pub mod library_grid;
pub mod library_list;
pub mod overlays;
pub mod player;
pub mod rail;
pub mod settings;
pub mod shares;
pub mod status;
pub mod swarm;
pub mod transfers;
pub mod transport;
