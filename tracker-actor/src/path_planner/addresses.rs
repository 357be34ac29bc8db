//! Which addresses of a node are worth telling another. Pure.
//!
//! Invariant: no client makes another dial that other's own loopback, the any-address, a multicast group or port 0; only who comes from
//! this host is reached over loopback, and only by others that do.

use std::net::SocketAddr;

use shared::{limits::MAX_ADDRESSES, wire::Register};

/// The addresses a client may be dialled at: where the tracker sees it come from, then what it says of itself.
pub fn dialable(observed: SocketAddr, register: &Register) -> Vec<SocketAddr> {
    let seen = register.listen_port.map(|port| SocketAddr::new(observed.ip().to_canonical(), port));
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in seen.into_iter().chain(register.addresses.iter().copied()) {
        let ip = address.ip().to_canonical();
        let is_usable = address.port() != 0
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && (!ip.is_loopback() || observed.ip().to_canonical().is_loopback());
        let address = SocketAddr::new(ip, address.port());
        if is_usable && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// The one address of a client that is told to everybody alike, whoever comes from where: the first that is loopback to nobody.
pub fn seed_address(observed: SocketAddr, register: &Register) -> Option<SocketAddr> {
    dialable(observed, register).into_iter().find(|address| !address.ip().is_loopback())
}

/// Of a node's addresses those a client at `viewer` can use.
pub fn addresses_for(viewer: SocketAddr, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_here = viewer.ip().to_canonical().is_loopback();
    addresses.iter().filter(|address| is_here || !address.ip().is_loopback()).copied().collect()
}

/// The address the tracker itself tries: only the one the client was seen at, so that nobody points the tracker at a third.
pub fn probed(observed: SocketAddr, register: &Register) -> Option<SocketAddr> {
    let port = register.listen_port.filter(|port| *port != 0)?;
    Some(SocketAddr::new(observed.ip().to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_seen_comes_first_then_what_the_client_says() {
        let register = register(Some(7), &["10.0.0.2:7", "198.51.100.1:7"]);
        assert_eq!(dialable(at("198.51.100.1:5000"), &register), [at("198.51.100.1:7"), at("10.0.0.2:7")]);
    }

    #[test]
    fn a_client_from_elsewhere_cannot_name_loopback_or_nonsense() {
        let register =
            register(None, &["127.0.0.1:22", "[::1]:22", "0.0.0.0:9", "224.0.0.1:9", "10.0.0.2:0"]);
        assert_eq!(dialable(at("198.51.100.1:5000"), &register), []);
    }

    #[test]
    fn loopback_is_told_to_clients_of_this_host_alone() {
        let addresses = dialable(at("127.0.0.1:5000"), &register(Some(7), &["10.0.0.2:7"]));
        assert_eq!(addresses_for(at("127.0.0.1:6000"), &addresses), [at("127.0.0.1:7"), at("10.0.0.2:7")]);
        assert_eq!(addresses_for(at("10.0.0.9:6000"), &addresses), [at("10.0.0.2:7")]);
    }

    #[test]
    fn everybody_is_told_no_loopback_address() {
        let register = register(Some(7), &["10.0.0.2:7"]);
        assert_eq!(seed_address(at("198.51.100.1:5000"), &register), Some(at("198.51.100.1:7")));
        assert_eq!(seed_address(at("127.0.0.1:5000"), &register), Some(at("10.0.0.2:7")));
        assert_eq!(seed_address(at("[::ffff:127.0.0.1]:5000"), &self::register(Some(7), &[])), None);
    }

    #[test]
    fn the_tracker_tries_no_address_but_the_one_it_saw() {
        assert_eq!(probed(at("198.51.100.1:5000"), &register(None, &["10.0.0.2:7"])), None);
        assert_eq!(
            probed(at("198.51.100.1:5000"), &register(Some(7), &["10.0.0.2:9"])),
            Some(at("198.51.100.1:7"))
        );
    }

    #[test]
    fn a_mapped_address_is_told_in_its_plain_form() {
        let addresses = dialable(at("[::ffff:198.51.100.1]:5000"), &register(Some(7), &[]));
        assert_eq!(addresses, [at("198.51.100.1:7")]);
    }

    fn register(listen_port: Option<u16>, addresses: &[&str]) -> Register {
        let addresses = addresses.iter().map(|address| at(address)).collect();
        Register { listen_port, addresses, upload_limit_bps: 0, relay_limit_bps: 0 }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }
}
