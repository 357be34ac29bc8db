//! One watcher of the console: what it filters, how far it has read, whether it may be sent anything. Pure.
//!
//! Invariant: one update is under way to a browser at most; the next is made when it has asked for more. So a browser that sleeps, or
//! does not read, costs the tracker one message.

use serde::Deserialize;
use shared::ContentId;
use thiserror::Error;

use super::tap::{Direction, TraceLine};

/// Lines of one update.
pub const LINES_PER_UPDATE: usize = 200;
/// How often the tables are sent.
pub const TABLES_EVERY_MS: u64 = 1_000;
/// The longest command a browser may send.
pub const MAX_COMMAND_BYTES: usize = 4_096;

/// What a browser says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase", deny_unknown_fields)]
pub enum Command {
    /// The last update is drawn; send the next.
    More,
    /// Watch messages, or stop watching.
    Trace {
        /// Whether to watch.
        on: bool,
    },
    /// Show only some messages.
    Filter(Filter),
    /// Explain the plans of one swarm with every table, or of none.
    Explain {
        /// Which content.
        content_id: Option<ContentId>,
    },
}

/// Which messages are shown; empty fields let everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Part of the message's text, in any case.
    pub text: String,
    /// Part of the frame's name, in any case.
    pub frame: String,
    /// The beginning of a node's id, or a session's number.
    pub who: String,
    /// One direction only.
    pub direction: Option<Way>,
}

/// A direction as a browser names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From clients.
    In,
    /// To clients.
    Out,
}

/// A command that is none.
#[derive(Debug, Error)]
pub enum CommandError {
    /// Not JSON of a known shape.
    #[error("not a console command: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Longer than any command.
    #[error("a console command may be {MAX_COMMAND_BYTES} bytes long")]
    TooLong,
}

/// What is due to a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The tables.
    pub tables: bool,
    /// New lines of the trace, after this number.
    pub lines_after: Option<u64>,
}

/// The state of one watcher.
#[derive(Debug, Default)]
pub struct ConsoleState {
    may_send: bool,
    is_tracing: bool,
    filter: Filter,
    read_to: u64,
    tables_at_ms: Option<u64>,
    explained: Option<ContentId>,
}

impl ConsoleState {
    /// Takes a browser's words. `last_number` is where the trace stands now.
    pub fn handle_text(&mut self, text: &str, last_number: u64) -> Result<(), CommandError> {
        if text.len() > MAX_COMMAND_BYTES {
            return Err(CommandError::TooLong);
        }
        match serde_json::from_str(text)? {
            Command::More => self.may_send = true,
            Command::Trace { on } => {
                if on && !self.is_tracing {
                    self.read_to = last_number;
                }
                self.is_tracing = on;
            }
            Command::Explain { content_id } => {
                self.explained = content_id;
                // Whoever asks wants to see it now.
                self.tables_at_ms = None;
            }
            Command::Filter(filter) => {
                self.filter = Filter {
                    text: filter.text.to_lowercase(),
                    frame: filter.frame.to_lowercase(),
                    who: filter.who.to_lowercase(),
                    direction: filter.direction,
                };
            }
        }
        Ok(())
    }

    /// What may be sent now, if anything.
    pub fn poll_due(&mut self, now_ms: u64, last_number: u64) -> Option<Due> {
        if !self.may_send {
            return None;
        }
        let tables = self.tables_at_ms.is_none_or(|at_ms| now_ms >= at_ms + TABLES_EVERY_MS);
        let lines_after = (self.is_tracing && last_number > self.read_to).then_some(self.read_to);
        (tables || lines_after.is_some()).then_some(Due { tables, lines_after })
    }

    /// An update was sent, with lines up to `read_to`.
    pub fn handle_sent(&mut self, now_ms: u64, due: Due, read_to: u64) {
        self.may_send = false;
        self.read_to = read_to.max(self.read_to);
        if due.tables {
            self.tables_at_ms = Some(now_ms);
        }
    }

    /// The content whose plans are explained.
    pub const fn explained(&self) -> Option<ContentId> {
        self.explained
    }

    /// Whether the trace is being watched.
    pub const fn is_tracing(&self) -> bool {
        self.is_tracing
    }

    /// Whether a line is shown.
    pub fn lets_through(&self, line: &TraceLine) -> bool {
        let filter = &self.filter;
        let way = match line.direction {
            Direction::In => Way::In,
            Direction::Out => Way::Out,
        };
        let is_who = || {
            let is_node = line.node.is_some_and(|node| node.to_string().starts_with(&filter.who));
            is_node || line.session.to_string() == filter.who
        };
        filter.direction.is_none_or(|wanted| wanted == way)
            && (filter.frame.is_empty() || line.frame.to_lowercase().contains(&filter.frame))
            && (filter.text.is_empty() || line.text.to_lowercase().contains(&filter.text))
            && (filter.who.is_empty() || is_who())
    }
}

#[cfg(test)]
mod tests {
    use shared::NodeId;

    use super::*;

    #[test]
    fn nothing_is_sent_until_the_browser_asks_and_then_once() {
        let mut state = ConsoleState::default();
        assert_eq!(state.poll_due(0, 0), None);
        say(&mut state, r#"{"say":"more"}"#);
        let due = state.poll_due(0, 0).expect("the tables");
        assert_eq!(due, Due { tables: true, lines_after: None });
        state.handle_sent(0, due, 0);
        assert_eq!(state.poll_due(10_000, 9), None);
    }

    #[test]
    fn the_trace_begins_where_it_is_switched_on() {
        let mut state = ConsoleState::default();
        state.handle_text(r#"{"say":"trace","on":true}"#, 40).expect("a command");
        say(&mut state, r#"{"say":"more"}"#);
        assert_eq!(state.poll_due(0, 40).expect("due").lines_after, None);
        assert_eq!(state.poll_due(0, 41).expect("due").lines_after, Some(40));
        state.handle_text(r#"{"say":"trace","on":false}"#, 41).expect("a command");
        assert_eq!(state.poll_due(0, 41).expect("due").lines_after, None);
    }

    #[test]
    fn lines_come_at_once_and_tables_once_a_second() {
        let mut state = ConsoleState::default();
        state.handle_text(r#"{"say":"trace","on":true}"#, 0).expect("a command");
        say(&mut state, r#"{"say":"more"}"#);
        let due = state.poll_due(0, 1).expect("due");
        state.handle_sent(0, due, 1);
        say(&mut state, r#"{"say":"more"}"#);
        assert_eq!(state.poll_due(100, 1), None);
        assert_eq!(state.poll_due(100, 2), Some(Due { tables: false, lines_after: Some(1) }));
        assert!(state.poll_due(TABLES_EVERY_MS, 1).expect("due").tables);
    }

    #[test]
    fn plans_are_explained_at_once_and_until_another_word() {
        let mut state = ConsoleState::default();
        say(&mut state, r#"{"say":"more"}"#);
        let due = state.poll_due(0, 0).expect("due");
        state.handle_sent(0, due, 0);
        let content_id = ContentId([0xab; 32]);
        say(&mut state, &format!(r#"{{"say":"explain","content_id":"{content_id}"}}"#));
        say(&mut state, r#"{"say":"more"}"#);
        assert!(state.poll_due(1, 0).is_some_and(|due| due.tables));
        assert_eq!(state.explained(), Some(content_id));
        say(&mut state, r#"{"say":"explain","content_id":null}"#);
        assert_eq!(state.explained(), None);
    }

    #[test]
    fn a_filter_looks_at_every_field() {
        let mut state = ConsoleState::default();
        for (filter, is_shown) in [
            (r#"{"say":"filter"}"#, true),
            (r#"{"say":"filter","frame":"ping"}"#, true),
            (r#"{"say":"filter","frame":"pong"}"#, false),
            (r#"{"say":"filter","text":"NONCE: 7"}"#, true),
            (r#"{"say":"filter","text":"nonce: 8"}"#, false),
            (r#"{"say":"filter","who":"0101"}"#, true),
            (r#"{"say":"filter","who":"3"}"#, true),
            (r#"{"say":"filter","who":"4"}"#, false),
            (r#"{"say":"filter","direction":"in"}"#, true),
            (r#"{"say":"filter","direction":"out"}"#, false),
        ] {
            say(&mut state, filter);
            assert_eq!(state.lets_through(&line()), is_shown, "{filter}");
        }
    }

    #[test]
    fn nonsense_and_novels_are_refused() {
        let mut state = ConsoleState::default();
        for text in
            ["", "more", r#"{"say":"reboot"}"#, r#"{"say":"trace"}"#, r#"{"say":"filter","colour":"red"}"#]
        {
            assert!(state.handle_text(text, 0).is_err(), "{text}");
        }
        assert!(matches!(
            state.handle_text(&" ".repeat(MAX_COMMAND_BYTES + 1), 0),
            Err(CommandError::TooLong)
        ));
    }

    fn say(state: &mut ConsoleState, text: &str) {
        state.handle_text(text, 0).expect("a command");
    }

    fn line() -> TraceLine {
        TraceLine {
            number: 1,
            at_ms: 5,
            session: 3,
            node: Some(NodeId([1; 32])),
            kind: None,
            direction: Direction::In,
            frame: "Ping",
            text: "Ping(Ping { nonce: 7 })".to_owned(),
        }
    }
}
