//! Who may open the debug console. A page of another site must not read it through a browser on this host.

use actix_web::{HttpRequest, http::header};
use thiserror::Error;

use crate::config::ConsoleAccess;

/// What the pages may load: themselves, their covers, and their own WebSocket.
pub const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Why the console is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody may.
    #[error("the debug console is switched off; start the tracker with --console loopback\n")]
    Off,
    /// Only this host may.
    #[error(
        "the debug console is open to browsers on the tracker's host: open http://localhost:PORT/console there, \
         or start the tracker with --console everyone\n"
    )]
    NotLocal,
    /// Another site asks.
    #[error("the debug console may not be opened from another site\n")]
    OtherSite,
}

/// Whether the console may be shown in answer to `request`.
pub fn may_open_console(access: ConsoleAccess, request: &HttpRequest) -> Result<(), Refusal> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_local = request.peer_addr().is_some_and(|address| address.ip().to_canonical().is_loopback());
    judge(access, is_local, text(header::HOST), text(header::ORIGIN))
}

fn judge(
    access: ConsoleAccess,
    is_local: bool,
    host: Option<&str>,
    origin: Option<&str>,
) -> Result<(), Refusal> {
    match access {
        ConsoleAccess::Off => return Err(Refusal::Off),
        // A name that merely resolves to this host is how another site would come in.
        ConsoleAccess::Loopback if !is_local || !host.is_some_and(names_this_host) => {
            return Err(Refusal::NotLocal);
        }
        ConsoleAccess::Loopback | ConsoleAccess::Everyone => {}
    }
    let own = |origin: &str| origin.split_once("://").map(|(_, authority)| authority) == host;
    if origin.is_none_or(own) { Ok(()) } else { Err(Refusal::OtherSite) }
}

fn names_this_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "[::1]")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<&str> = Some("localhost:7700");

    #[test]
    fn a_browser_on_this_host_may_look() {
        for host in ["localhost:7700", "127.0.0.1:7700", "[::1]:7700", "localhost"] {
            assert_eq!(judge(ConsoleAccess::Loopback, true, Some(host), None), Ok(()), "{host}");
        }
        assert_eq!(judge(ConsoleAccess::Loopback, true, HERE, Some("http://localhost:7700")), Ok(()));
    }

    #[test]
    fn a_browser_elsewhere_may_look_only_if_everyone_may() {
        let host = Some("tracker.example:7700");
        assert_eq!(judge(ConsoleAccess::Loopback, false, host, None), Err(Refusal::NotLocal));
        assert_eq!(judge(ConsoleAccess::Everyone, false, host, None), Ok(()));
    }

    #[test]
    fn another_site_may_never_look_through_a_browser() {
        let evil = Some("http://evil.example");
        assert_eq!(judge(ConsoleAccess::Loopback, true, HERE, evil), Err(Refusal::OtherSite));
        assert_eq!(judge(ConsoleAccess::Everyone, true, HERE, evil), Err(Refusal::OtherSite));
        let rebound = Some("evil.example:7700");
        assert_eq!(
            judge(ConsoleAccess::Loopback, true, rebound, Some("http://evil.example:7700")),
            Err(Refusal::NotLocal)
        );
    }

    #[test]
    fn off_is_off() {
        assert_eq!(judge(ConsoleAccess::Off, true, HERE, None), Err(Refusal::Off));
    }
}
