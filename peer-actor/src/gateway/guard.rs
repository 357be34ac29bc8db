//! Who may talk to a gateway on loopback: programs of this machine, not web pages of others. Pure.
//!
//! A page cannot open sockets, but it can make a browser on this machine ask. Two doors are closed: a foreign name that
//! resolves to 127.0.0.1 (DNS rebinding shows in `Host`), and a page of another site that embeds our addresses (the browser
//! says so in `Origin` and `Sec-Fetch-Site`). A gateway that was bound elsewhere on purpose has names we cannot know, and
//! checks nothing.

use std::net::{IpAddr, SocketAddr};

/// The headers that tell where a request comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provenance<'a> {
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'a str>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a str>,
}

/// Whether a gateway that listens on `bound` should answer.
pub fn is_welcome(bound: SocketAddr, request: Provenance<'_>) -> bool {
    if !bound.ip().is_loopback() {
        return true;
    }
    let is_foreign_page = request.fetch_site == Some("cross-site") && request.fetch_mode != Some("navigate");
    let is_local_origin = request
        .origin
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, authority)| is_local_name(authority)));
    request.host.is_none_or(is_local_name) && is_local_origin && !is_foreign_page
}

fn is_local_name(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_programs_are_welcome() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:80", "127.8.8.8"] {
            assert!(
                is_welcome(loopback(), Provenance { host: Some(host), ..Provenance::default() }),
                "{host}"
            );
        }
        assert!(is_welcome(loopback(), Provenance::default()));
    }

    #[test]
    fn a_foreign_name_for_loopback_is_refused() {
        for host in ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example", "[::2]", ""] {
            assert!(
                !is_welcome(loopback(), Provenance { host: Some(host), ..Provenance::default() }),
                "{host}"
            );
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused_and_a_link_from_it_is_not() {
        let page =
            Provenance { host: Some("localhost"), fetch_site: Some("cross-site"), ..Provenance::default() };
        assert!(!is_welcome(loopback(), Provenance { fetch_mode: Some("no-cors"), ..page }));
        assert!(is_welcome(loopback(), Provenance { fetch_mode: Some("navigate"), ..page }));
        let origin =
            |origin| Provenance { host: Some("localhost"), origin: Some(origin), ..Provenance::default() };
        assert!(!is_welcome(loopback(), origin("https://evil.example")));
        assert!(!is_welcome(loopback(), origin("null")));
        assert!(is_welcome(loopback(), origin("http://localhost:3000")));
    }

    #[test]
    fn a_gateway_bound_elsewhere_checks_nothing() {
        let bound = "192.0.2.1:80".parse().unwrap();
        assert!(is_welcome(bound, Provenance { host: Some("media.example"), ..Provenance::default() }));
    }

    fn loopback() -> SocketAddr {
        "127.0.0.1:8080".parse().unwrap()
    }
}
