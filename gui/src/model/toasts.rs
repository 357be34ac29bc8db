//! Notices as toasts: the node's and the window's own in one list, dismissed by number.
//!
//! Invariant: a notice is shown once, for a limited time, errors longer; dismissing is remembered by number, never by editing
//! the snapshot. Time is an argument in seconds.

use std::collections::BTreeMap;

use shared::snapshot::Notice;

/// How long information stays.
const INFO_SECONDS: f64 = 6.0;
/// How long an error stays.
const ERROR_SECONDS: f64 = 20.0;
/// The most toasts on screen; older ones go first.
pub const MAX_TOASTS: usize = 4;

/// Where a notice comes from, which keeps the two number sequences apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The node's snapshot.
    Node,
    /// The window itself.
    Window,
}

/// Names one toast.
pub type ToastId = (Source, u64);

/// What a message offers to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToastAction {
    /// Play from the beginning instead.
    StartOver,
}

impl ToastAction {
    /// What its button says.
    pub fn label(self) -> &'static str {
        match self {
            Self::StartOver => "Start over",
        }
    }
}

/// One message on screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Toast {
    /// Names it for dismissal.
    pub id: ToastId,
    /// Whether something was lost.
    pub is_error: bool,
    /// One sentence a person can act on.
    pub text: String,
    /// What it offers to do.
    pub action: Option<ToastAction>,
    expires: f64,
}

/// The messages on screen.
#[derive(Debug, Default)]
pub struct Toasts {
    shown: BTreeMap<ToastId, Toast>,
    node_seen: u64,
    window_next: u64,
}

impl Toasts {
    /// Takes what is new in the node's notices.
    pub fn handle_notices(&mut self, now: f64, notices: &[Notice]) {
        for notice in notices {
            if notice.number > self.node_seen {
                self.node_seen = notice.number;
                self.insert(now, (Source::Node, notice.number), notice.is_error, notice.text.clone());
            }
        }
    }

    /// Says something on the window's own behalf.
    pub fn push(&mut self, now: f64, is_error: bool, text: impl Into<String>) {
        self.window_next += 1;
        self.insert(now, (Source::Window, self.window_next), is_error, text.into());
    }

    /// Says something that can be answered by one click.
    pub fn offer(&mut self, now: f64, text: impl Into<String>, action: ToastAction) {
        self.push(now, false, text);
        let id = (Source::Window, self.window_next);
        if let Some(toast) = self.shown.get_mut(&id) {
            toast.action = Some(action);
        }
    }

    /// Takes a toast away at once.
    pub fn dismiss(&mut self, id: ToastId) {
        self.shown.remove(&id);
    }

    /// Takes away what has been shown long enough.
    pub fn handle_timeout(&mut self, now: f64) {
        self.shown.retain(|_, toast| toast.expires > now);
    }

    /// When the next toast goes, in seconds.
    pub fn poll_timeout(&self) -> Option<f64> {
        self.shown.values().map(|toast| toast.expires).min_by(f64::total_cmp)
    }

    /// What is on screen, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Toast> {
        self.shown.values()
    }

    fn insert(&mut self, now: f64, id: ToastId, is_error: bool, text: String) {
        // The same sentence again renews the toast instead of stacking up.
        self.shown.retain(|_, toast| toast.text != text);
        let expires = now + if is_error { ERROR_SECONDS } else { INFO_SECONDS };
        self.shown.insert(id, Toast { id, is_error, text, action: None, expires });
        while self.shown.len() > MAX_TOASTS {
            let oldest =
                self.shown.values().min_by(|a, b| a.expires.total_cmp(&b.expires)).map(|toast| toast.id);
            let Some(oldest) = oldest else { break };
            self.shown.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_shown_once_even_though_snapshots_repeat_it() {
        let mut toasts = Toasts::default();
        let notices = [notice(1, "a"), notice(2, "b")];
        toasts.handle_notices(0.0, &notices);
        toasts.dismiss((Source::Node, 1));
        toasts.handle_notices(1.0, &notices);
        assert_eq!(toasts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn an_offer_keeps_its_action_until_it_goes() {
        let mut toasts = Toasts::default();
        toasts.offer(0.0, "Goes on at 0:35", ToastAction::StartOver);
        assert_eq!(toasts.iter().map(|t| t.action).collect::<Vec<_>>(), [Some(ToastAction::StartOver)]);
        toasts.handle_timeout(INFO_SECONDS);
        assert_eq!(toasts.iter().count(), 0);
    }

    #[test]
    fn errors_stay_longer_than_information() {
        let mut toasts = Toasts::default();
        toasts.push(0.0, false, "saved");
        toasts.push(0.0, true, "lost");
        toasts.handle_timeout(INFO_SECONDS);
        assert_eq!(toasts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["lost"]);
        assert_eq!(toasts.poll_timeout(), Some(ERROR_SECONDS));
    }

    #[test]
    fn a_flood_keeps_the_latest_few() {
        let mut toasts = Toasts::default();
        for number in 0..50 {
            toasts.push(f64::from(number), true, format!("error {number}"));
        }
        assert_eq!(toasts.iter().count(), MAX_TOASTS);
        assert!(toasts.iter().any(|toast| toast.text == "error 49"));
    }

    #[test]
    fn the_same_sentence_does_not_stack_up() {
        let mut toasts = Toasts::default();
        toasts.push(0.0, true, "no device");
        toasts.push(1.0, true, "no device");
        assert_eq!(toasts.iter().count(), 1);
    }

    fn notice(number: u64, text: &str) -> Notice {
        Notice { number, is_error: true, text: text.to_owned() }
    }
}
