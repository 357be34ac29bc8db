//! What the window remembers between runs: appearance, volume, list layout, where each film was left.
//!
//! Invariant: any file, however old or broken, yields usable settings; the number of remembered positions is bounded. Reading
//! and writing files is the app's.

use serde::{Deserialize, Serialize};
use shared::ContentId;

use super::library::{Layout, SortKey};

/// The most positions remembered; the longest unused go first.
pub const MAX_POSITIONS: usize = 200;
/// Positions nearer to the start than this are not worth coming back to.
const WORTH_RESUMING_MS: u64 = 30_000;

/// The smallest window.
pub const MIN_WINDOW: (f32, f32) = (640.0, 420.0);
/// The window as it first opens.
pub const FIRST_WINDOW: (f32, f32) = (1180.0, 760.0);
/// A remembered window larger than this is no window.
const MAX_SIDE: f32 = 16_384.0;
/// The sizes that zooming steps through.
pub const ZOOM_STEPS: [f32; 9] = [0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0];

/// Dark, light, or as the desktop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// Dark always.
    Dark,
    /// Light always.
    Light,
    /// As the desktop is.
    #[default]
    System,
}

/// Everything remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Dark, light or system.
    pub theme: ThemeChoice,
    /// 0 to 1.
    pub volume: f32,
    /// Whether the sound is off.
    pub muted: bool,
    /// Grid or list.
    pub layout: Layout,
    /// What the list is ordered by.
    pub sort: SortKey,
    /// Largest first.
    pub is_descending: bool,
    /// Whether the network panel is open beside the player.
    pub shows_network: bool,
    /// How large everything is; 1 is as the desktop has it.
    pub zoom: f32,
    /// Width and height of the window when it does not fill the screen, in the desktop's units.
    pub window_size: Option<(f32, f32)>,
    /// Whether the window fills the desktop.
    pub is_maximized: bool,
    /// Where films were left, longest unused first.
    pub positions: Vec<(ContentId, u64)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            volume: 0.8,
            muted: false,
            layout: Layout::Grid,
            sort: SortKey::Name,
            is_descending: false,
            shows_network: false,
            zoom: 1.0,
            window_size: None,
            is_maximized: false,
            positions: Vec::new(),
        }
    }
}

impl Settings {
    /// From a settings file; what cannot be read becomes the default.
    pub fn parse(text: &str) -> Self {
        let mut settings: Self = serde_json::from_str(text).unwrap_or_default();
        settings.volume = if settings.volume.is_finite() { settings.volume.clamp(0.0, 1.0) } else { 1.0 };
        settings.zoom = if settings.zoom.is_finite() { settings.zoom } else { 1.0 };
        settings.zoom = settings.zoom.clamp(ZOOM_STEPS[0], ZOOM_STEPS[ZOOM_STEPS.len() - 1]);
        let is_plausible = |(width, height): &(f32, f32)| {
            (MIN_WINDOW.0..=MAX_SIDE).contains(width) && (MIN_WINDOW.1..=MAX_SIDE).contains(height)
        };
        settings.window_size = settings.window_size.filter(is_plausible);
        let surplus = settings.positions.len().saturating_sub(MAX_POSITIONS);
        settings.positions.drain(..surplus);
        settings
    }

    /// The zoom one step larger (1), smaller (-1), or natural (0).
    pub fn zoom_step(&self, step: i32) -> f32 {
        if step == 0 {
            return 1.0;
        }
        let larger = ZOOM_STEPS.into_iter().find(|zoom| *zoom > self.zoom + 0.01);
        let smaller = ZOOM_STEPS.into_iter().rev().find(|zoom| *zoom < self.zoom - 0.01);
        (if step > 0 { larger } else { smaller }).unwrap_or(self.zoom)
    }

    /// Remembers where a film was left, or forgets it when it was just begun or is over.
    pub fn remember_position(&mut self, content_id: ContentId, position_ms: u64, duration_ms: u64) {
        self.positions.retain(|(id, _)| *id != content_id);
        let is_nearly_over =
            duration_ms > 0 && position_ms.saturating_mul(20) >= duration_ms.saturating_mul(19);
        if position_ms < WORTH_RESUMING_MS || is_nearly_over {
            return;
        }
        if self.positions.len() >= MAX_POSITIONS {
            self.positions.remove(0);
        }
        self.positions.push((content_id, position_ms));
    }

    /// Where the film was left.
    pub fn position(&self, content_id: &ContentId) -> Option<u64> {
        self.positions.iter().find(|(id, _)| id == content_id).map(|(_, position)| *position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_text_form() {
        let mut settings = Settings { volume: 0.25, layout: Layout::List, ..Settings::default() };
        settings.remember_position(ContentId([7; 32]), 60_000, 600_000);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(Settings::parse(&text), settings);
    }

    #[test]
    fn a_broken_file_yields_defaults() {
        assert_eq!(Settings::parse("{ not json"), Settings::default());
        assert_eq!(Settings::parse(r#"{"unknown": 1}"#), Settings::default());
        assert_eq!(Settings::parse(r#"{"volume": 1e9}"#).volume, 1.0);
    }

    #[test]
    fn an_implausible_window_is_forgotten() {
        let size = |text: &str| Settings::parse(text).window_size;
        assert_eq!(size(r#"{"window_size": [900, 700]}"#), Some((900.0, 700.0)));
        assert_eq!(size(r#"{"window_size": [1, 700]}"#), None);
        assert_eq!(size(r#"{"window_size": [1e30, 700]}"#), None);
        assert_eq!(Settings::parse(r#"{"zoom": 40}"#).zoom, 2.0);
    }

    #[test]
    fn zooming_steps_and_stops_at_the_ends() {
        let at = |zoom| Settings { zoom, ..Settings::default() };
        assert_eq!(at(1.0).zoom_step(1), 1.1);
        assert_eq!(at(1.0).zoom_step(-1), 0.9);
        assert_eq!(at(2.0).zoom_step(1), 2.0);
        assert_eq!(at(1.5).zoom_step(0), 1.0);
    }

    #[test]
    fn a_film_just_begun_or_over_starts_anew() {
        let mut settings = Settings::default();
        let id = ContentId([1; 32]);
        settings.remember_position(id, 300_000, 600_000);
        assert_eq!(settings.position(&id), Some(300_000));
        settings.remember_position(id, 590_000, 600_000);
        assert_eq!(settings.position(&id), None);
        settings.remember_position(id, 5_000, 600_000);
        assert_eq!(settings.position(&id), None);
    }

    #[test]
    fn positions_are_bounded() {
        let mut settings = Settings::default();
        for number in 0..=255 {
            settings.remember_position(ContentId([number; 32]), 60_000, 600_000);
        }
        assert_eq!(settings.positions.len(), MAX_POSITIONS);
        assert_eq!(settings.position(&ContentId([0; 32])), None);
        assert_eq!(settings.position(&ContentId([255; 32])), Some(60_000));
    }
}
