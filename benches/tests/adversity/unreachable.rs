//! Sources, and viewers, behind routers that let nobody in.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{Lab, Nat, Peer, PeerSpec, Tracker, await_until, http, media};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_file_behind_a_router_comes_by_reversal() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.explain(reversal(&lab))
}

fn reversal(lab: &Lab) -> Result<()> {
    let film = media::film(8, 4000)?;
    let id = media::content_id(&film)?;
    let nat = Nat::new()?;
    let tracker = lab.tracker_at(Ipv4Addr::UNSPECIFIED, &[], &[])?;
    let shared = lab.library("shared", &[&film])?;
    let source = PeerSpec { shares: vec![shared], ..behind(&nat, &tracker) };
    let _source = lab.peer("source", &tracker, &source)?;
    let viewer = PeerSpec { namespace: None, ..behind(&nat, &tracker) };
    let viewer = lab.peer("viewer", &tracker, &viewer)?;
    viewer.await_file("film-8s-4000k.ts", 1)?;

    let mut body = http::open(viewer.gateway, &format!("/stream/{id}"), &[])?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    // The reader stays while the stream is looked at: it has not taken the end yet.
    bytes.extend_from_slice(&buffer_of(&mut body, &mut buffer)?);
    let paths = await_paths(&viewer, &id)?;
    ensure!(paths == ["reversed"], "bytes came over {paths:?}");
    loop {
        let read = buffer_of(&mut body, &mut buffer)?;
        if read.is_empty() {
            break;
        }
        bytes.extend_from_slice(&read);
    }
    ensure!(bytes == fs::read(&film)?, "the bytes differ from the file's");
    println!("{} bytes came over {paths:?}", bytes.len());
    Ok(())
}

#[test]
fn a_file_behind_one_router_reaches_a_viewer_behind_another_through_a_relay() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.explain(relay(&lab))
}

fn relay(lab: &Lab) -> Result<()> {
    let film = media::film(8, 4000)?;
    let id = media::content_id(&film)?;
    let (source_net, viewer_net) = (Nat::new()?, Nat::new()?);
    let tracker = lab.tracker_at(Ipv4Addr::UNSPECIFIED, &[], &[])?;
    let shared = lab.library("shared", &[&film])?;
    let source = PeerSpec { shares: vec![shared], ..behind(&source_net, &tracker) };
    let _source = lab.peer("source", &tracker, &source)?;
    let viewer = lab.peer("viewer", &tracker, &behind(&viewer_net, &tracker))?;
    viewer.await_file("film-8s-4000k.ts", 1)?;

    let copy = lab.folder("out")?.join("copy.ts");
    let mut reading = Reading::begin(&viewer_net, &viewer.url(&id), &copy, "1500k")?;
    let paths = await_paths(&viewer, &id)?;
    ensure!(paths == ["relayed"], "bytes came over {paths:?}");
    await_until("the whole film", PATIENCE, || Ok(reading.0.try_wait()?.is_some()))
        .with_context(|| format!("{:#}", viewer.stream(&id).unwrap_or_default()))?;
    ensure!(media::content_id(&copy)? == id, "the bytes differ from the file's");
    println!("{} bytes came over {paths:?}", fs::metadata(&copy)?.len());
    Ok(())
}

/// A reader inside a namespace, slow enough to be looked at. Dropping it ends it.
pub(crate) struct Reading(pub(crate) Child);

impl Reading {
    pub(crate) fn begin(net: &Nat, url: &str, out: &std::path::Path, rate: &str) -> Result<Self> {
        let mut curl = Command::new("ip");
        curl.args(["netns", "exec", &net.client, "curl", "-sf", "--limit-rate", rate, "--max-time", "60"]);
        Ok(Self(curl.arg("-o").arg(out).arg(url).spawn().context("curl is not installed")?))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

pub(crate) fn is_possible() -> bool {
    let is_possible = Nat::is_possible();
    if !is_possible {
        println!("skipped: network namespaces need root, `ip netns` and `nft`");
    }
    is_possible
}

/// A video peer behind the router, which listens where nobody gets in.
pub(crate) fn behind(nat: &Nat, tracker: &Tracker) -> PeerSpec {
    PeerSpec {
        namespace: Some(nat.client.clone()),
        tracker: Some(SocketAddr::from((nat.gateway_ip, tracker.addr.port()))),
        listen_ip: Some(Ipv4Addr::UNSPECIFIED),
        ..PeerSpec::viewer("video")
    }
}

/// The kinds of path that brought bytes, once any did.
pub(crate) fn await_paths(viewer: &Peer, id: &str) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    await_until("a source that gives bytes", PATIENCE, || {
        viewer.program.check_alive()?;
        // The stream is not there before the reader has asked for it.
        let sources = viewer.sources(id).unwrap_or_default();
        paths = sources.into_iter().filter(|source| source.2 > 0).map(|source| source.1).collect();
        paths.sort();
        paths.dedup();
        Ok(!paths.is_empty())
    })?;
    Ok(paths)
}

fn buffer_of(body: &mut http::Body, buffer: &mut [u8]) -> Result<Vec<u8>> {
    let read = body.read(buffer)?;
    Ok(buffer[..read].to_vec())
}
