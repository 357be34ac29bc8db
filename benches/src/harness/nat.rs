//! A client behind a router that translates addresses: it reaches out, nobody reaches in.
//!
//! ```text
//!  this namespace                 router                         client
//!  10.x.y.1 ---veth--- 10.x.y.2 (masquerade) 192.168.77.1 ---veth--- 192.168.77.2
//! ```
//!
//! There is no route back to 192.168.77.0/24, so the client cannot be dialled by any means until [`Nat::open`] lets a port in. Networks
//! reach each other's routers through this namespace, as over the internet. Needs root, and says so.

use std::{
    net::Ipv4Addr,
    process::{self, Command},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};

/// A translated network with one client in it. Dropping it removes both namespaces.
#[derive(Debug)]
pub struct Nat {
    /// The client's namespace.
    pub client: String,
    /// This side of the wire to the router; servers listen here.
    pub gateway_ip: Ipv4Addr,
    router: String,
    /// The router's device that faces outside.
    inside: String,
}

impl Nat {
    /// Whether namespaces can be made here.
    pub fn is_possible() -> bool {
        static IS_POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
            let name = format!("rzprobe{}", process::id());
            let made = run("ip", &["netns", "add", &name]).is_ok();
            let removed = made && run("ip", &["netns", "del", &name]).is_ok();
            removed
                && Command::new("nft").arg("--version").output().is_ok_and(|output| output.status.success())
        });
        *IS_POSSIBLE
    }

    /// Makes the two namespaces and the wires.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let pid = process::id();
        let tag = format!("{}{number}", pid % 100_000);
        let net =
            Ipv4Addr::new(10, 128 + (pid % 64) as u8 + number as u8 % 32, (pid / 64 % 250) as u8, 0).octets();
        let at = |host: u8| Ipv4Addr::new(net[0], net[1], net[2], host);
        let [client, router, outside, inside, wire, end] =
            ["c", "r", "o", "i", "w", "e"].map(|part| format!("rz{part}{tag}"));
        let nat = Self { client, router, gateway_ip: at(1), inside: inside.clone() };
        let router = nat.router.as_str();
        let client = nat.client.as_str();
        for namespace in [router, client] {
            run("ip", &["netns", "add", namespace])?;
            run("ip", &["-n", namespace, "link", "set", "lo", "up"])?;
        }
        run("ip", &["link", "add", &outside, "type", "veth", "peer", "name", &inside, "netns", router])?;
        run(
            "ip",
            &["-n", router, "link", "add", &wire, "type", "veth", "peer", "name", &end, "netns", client],
        )?;
        run("ip", &["addr", "add", &format!("{}/24", at(1)), "dev", &outside])?;
        run("ip", &["link", "set", &outside, "up"])?;
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{outside}/forwarding"), "1")
            .context("routers cannot reach each other")?;
        for (namespace, device, address) in [
            (router, &inside, format!("{}/24", at(2))),
            (router, &wire, "192.168.77.1/24".into()),
            (client, &end, "192.168.77.2/24".into()),
        ] {
            run("ip", &["-n", namespace, "addr", "add", &address, "dev", device])?;
            run("ip", &["-n", namespace, "link", "set", device, "up"])?;
        }
        run("ip", &["-n", client, "route", "add", "default", "via", "192.168.77.1"])?;
        run("ip", &["-n", router, "route", "add", "default", "via", &at(1).to_string()])?;
        inside_ok(router, "sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        let rules = format!(
            "add table ip nat; add chain ip nat out {{ type nat hook postrouting priority 100; }}; add rule ip nat out oifname {inside} masquerade"
        );
        inside_ok(router, "nft", &[&rules])?;
        Ok(nat)
    }

    /// Lets everybody in who dials `port` at the router, from now on.
    pub fn open(&self, port: u16) -> Result<()> {
        let inside = &self.inside;
        let rules = format!(
            "add chain ip nat in {{ type nat hook prerouting priority -100; }}; add rule ip nat in iifname {inside} tcp dport {port} dnat to 192.168.77.2"
        );
        inside_ok(&self.router, "nft", &[&rules])
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        // The wires go with the namespaces. What cannot be removed was never made.
        for namespace in [&self.client, &self.router] {
            drop(run("ip", &["netns", "del", namespace]));
        }
    }
}

/// What a command inside a namespace prints.
pub fn inside(namespace: &str, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("ip")
        .args(["netns", "exec", namespace, program])
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

fn inside_ok(namespace: &str, program: &str, arguments: &[&str]) -> Result<()> {
    inside(namespace, program, arguments).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
