//! Shared folders: how far their hashing is, and what a typed or dropped path means.
//!
//! Pure: whether a path exists is the backend's to say.

use std::path::{Path, PathBuf};

use shared::snapshot::{RelayingSnapshot, ShareStatus};

use super::format;

/// How far a folder is, 0 to 1; none when there is nothing to do.
pub fn progress(share: &ShareStatus) -> Option<f32> {
    if share.pending_files == 0 {
        return None;
    }
    match share.to_hash_bytes {
        0 => Some(0.0),
        total => Some((share.hashed_bytes as f64 / total as f64).min(1.0) as f32),
    }
}

/// The line under a folder's path.
pub fn summary(share: &ShareStatus) -> String {
    if let Some(error) = &share.error {
        return error.clone();
    }
    let offered = format!(
        "{} · {}",
        format::count(u64::from(share.files), "file", "files"),
        format::bytes(share.bytes)
    );
    if share.pending_files == 0 {
        return offered;
    }
    let left = format::count(u64::from(share.pending_files), "file", "files");
    format!("{offered} · reading {left}, {}", format::percent(share.hashed_bytes, share.to_hash_bytes))
}

/// What is passed on for others; none while nothing ever was.
pub fn relayed(relaying: &RelayingSnapshot) -> Option<String> {
    if relaying.opened == 0 {
        return None;
    }
    let now = format::count(relaying.relays.len() as u64, "pair", "pairs");
    Some(format!(
        "Passed on {} between others who cannot reach each other, now for {now}",
        format::bytes(relaying.carried_bytes)
    ))
}

/// The folder a person means by `text`: `~` is home, quotes and `file://` fall off. None when there is no text.
pub fn parse_path(text: &str, home: Option<&Path>) -> Option<PathBuf> {
    let text = text.trim().trim_matches(['"', '\'']);
    let text = text.strip_prefix("file://").unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    match (text.strip_prefix('~'), home) {
        (Some(""), Some(home)) => Some(home.to_path_buf()),
        (Some(rest), Some(home)) if rest.starts_with('/') => Some(home.join(rest.trim_start_matches('/'))),
        _ => Some(PathBuf::from(text)),
    }
}

/// The last part of a path, for a title.
pub fn folder_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_read_has_no_progress() {
        assert_eq!(progress(&share(0, 5, 5)), None);
        assert_eq!(progress(&share(2, 5, 10)), Some(0.5));
        assert_eq!(progress(&share(2, 0, 0)), Some(0.0));
    }

    #[test]
    fn the_summary_tells_what_is_still_being_read() {
        assert_eq!(summary(&share(0, 0, 0)), "3 files · 1.5 kB");
        assert_eq!(summary(&share(1, 1, 2)), "3 files · 1.5 kB · reading 1 file, 50 %");
    }

    #[test]
    fn what_is_relayed_is_told_once_something_was() {
        let mut relaying = RelayingSnapshot::default();
        assert_eq!(relayed(&relaying), None);
        (relaying.opened, relaying.carried_bytes) = (2, 1_300_000);
        let told = "Passed on 1.3 MB between others who cannot reach each other, now for 0 pairs";
        assert_eq!(relayed(&relaying).as_deref(), Some(told));
    }

    #[test]
    fn typed_paths_are_understood_as_people_write_them() {
        let home = Path::new("/users/ada");
        let parsed = |text| parse_path(text, Some(home));
        assert_eq!(parsed("~/Films"), Some(PathBuf::from("/users/ada/Films")));
        assert_eq!(parsed(" '/srv/my films' "), Some(PathBuf::from("/srv/my films")));
        assert_eq!(parsed("file:///srv"), Some(PathBuf::from("/srv")));
        assert_eq!(parsed("~other/x"), Some(PathBuf::from("~other/x")));
        assert_eq!(parsed("  "), None);
    }

    fn share(pending_files: u32, hashed_bytes: u64, to_hash_bytes: u64) -> ShareStatus {
        ShareStatus {
            path: "/srv".to_owned(),
            files: 3,
            bytes: 1_500,
            pending_files,
            hashed_bytes,
            to_hash_bytes,
            error: None,
        }
    }
}
