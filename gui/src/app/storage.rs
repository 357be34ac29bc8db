//! The settings file, in the client's data folder.
//!
//! Invariant: it is replaced whole or not at all, and failing to write it costs the settings and nothing else.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::model::settings::Settings;

/// Changes are written when nothing has changed for this long.
const SETTLE_SECONDS: f64 = 2.0;

/// What is remembered in a client's data folder, or defaults.
pub fn remembered(data_dir: &Path) -> Settings {
    Storage::load(data_dir).settings
}

/// Settings and their file.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) settings: Settings,
    saved: Settings,
    seen: Settings,
    changed_at: f64,
    path: PathBuf,
}

impl Storage {
    /// Reads the file, or takes defaults.
    pub(super) fn load(data_dir: &Path) -> Self {
        let path = data_dir.join("window.json");
        let settings =
            fs::read_to_string(&path).map_or_else(|_| Settings::default(), |text| Settings::parse(&text));
        Self { saved: settings.clone(), seen: settings.clone(), settings, changed_at: 0.0, path }
    }

    /// Writes the file once changes have settled; returns the seconds until it should be asked again.
    pub(super) fn handle_timeout(&mut self, now: f64) -> Option<f64> {
        if self.settings != self.seen {
            self.seen = self.settings.clone();
            self.changed_at = now;
        }
        if self.settings == self.saved {
            return None;
        }
        let left = self.changed_at + SETTLE_SECONDS - now;
        if left <= 0.0 {
            self.save_now();
            return None;
        }
        Some(left)
    }

    /// Writes the file if anything changed.
    pub(super) fn save_now(&mut self) {
        if self.settings == self.saved {
            return;
        }
        // Also when it fails: trying again every frame would not help.
        self.saved = self.settings.clone();
        if let Err(error) = self.write() {
            tracing::warn!(path = %self.path.display(), %error, "cannot save the window's settings");
        }
    }

    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_string_pretty(&self.settings)?;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let half_written = self.path.with_extension("json.new");
        fs::write(&half_written, text)?;
        fs::rename(&half_written, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_once_they_settle_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut storage = Storage::load(folder.path());
        assert_eq!(storage.handle_timeout(0.0), None);
        storage.settings.volume = 0.5;
        assert_eq!(storage.handle_timeout(10.0), Some(SETTLE_SECONDS));
        assert!(!folder.path().join("window.json").exists());
        assert_eq!(storage.handle_timeout(12.1), None);
        assert_eq!(Storage::load(folder.path()).settings.volume, 0.5);
    }
}
