//! Peers as relays: who carries a stream between two routers, what becomes of it when that dies, and how soon nobody has to.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{Lab, Nat, Peer, PeerSpec, Tracker, await_until, free_port, http, media};

use crate::unreachable::{PATIENCE, Reading, await_paths, behind, is_possible};

/// How long relayed bytes may go on after a better path has appeared.
const UPGRADE: Duration = Duration::from_secs(2);
/// What a peer without an upload limit relays.
const RELAY_BYTES_PER_S: u64 = 1_000_000;
/// How often a bit is turned.
const BYTES_A_TURN: usize = 300_000;
/// What each pair of routers is to pass before anything happens to its relay.
const MIDSTREAM_BYTES: u64 = 3_000_000;

#[test]
fn a_stream_goes_over_a_peer_and_on_over_the_tracker_when_the_peer_is_killed() -> Result<()> {
    in_lab(peer_is_killed)
}

fn peer_is_killed(lab: &Lab) -> Result<()> {
    let mut world = World::new(lab, true, &[])?;
    let mut reading = world.play("600k")?;
    world.await_carried("the peer", World::by_peer)?;
    ensure!(world.by_tracker()? == 0, "the tracker carried bytes although a peer could");
    let told = world.tracker.get_json("/api/status")?;
    let says = "the tracker to hear what the peer relays";
    await_until(says, PATIENCE, || Ok(world.tracker.get_json("/api/status")?["peer_relays"]["in_use"] == 1))
        .with_context(|| told.to_string())?;
    let granted = world.relay.get_json("/api/status")?["relaying"]["relays"][0].clone();
    let carried = granted["carried_bytes"].as_array().cloned().unwrap_or_default();
    let [from_viewer, from_source] = [0, 1].map(|end| carried.get(end).and_then(|bytes| bytes.as_u64()));
    ensure!(from_source > from_viewer && from_viewer > Some(0), "accounted to the wrong end: {granted}");

    let killed = Instant::now();
    world.relay.program.kill_hard()?;
    await_until("the tracker to carry the stream on", PATIENCE, || Ok(world.by_tracker()? > 200_000))?;
    let took = killed.elapsed();
    world.finish(&mut reading)?;
    ensure!(took < Duration::from_secs(5), "the stream went on after {took:?}");
    println!("200 kB over the tracker {took:?} after its peer relay was killed");
    Ok(())
}

#[test]
fn who_says_no_relay_relays_nothing_and_the_tracker_does() -> Result<()> {
    in_lab(no_relay)
}

fn no_relay(lab: &Lab) -> Result<()> {
    let world = World::new(lab, false, &[])?;
    let mut reading = world.play("1500k")?;
    world.await_carried("the tracker", World::by_tracker)?;
    world.finish(&mut reading)?;
    ensure!(world.by_peer()? == 0, "a peer relayed that was told not to");
    let status = world.relay.get_json("/api/status")?;
    ensure!(status["relaying"]["most"] == 0 && status["relaying"]["opened"] == 0, "{}", status["relaying"]);
    Ok(())
}

#[test]
fn relayed_bytes_stop_within_two_seconds_of_the_sources_router_opening() -> Result<()> {
    in_lab(|lab| router_opens(lab, true))
}

#[test]
fn relayed_bytes_stop_within_two_seconds_of_the_viewers_router_opening() -> Result<()> {
    in_lab(|lab| router_opens(lab, false))
}

fn router_opens(lab: &Lab, at_source: bool) -> Result<()> {
    let world = World::new(lab, true, &[])?;
    let mut reading = world.play("600k")?;
    world.await_carried("the peer", World::by_peer)?;

    let (net, peer) =
        if at_source { (&world.source_net, &world.source) } else { (&world.viewer_net, &world.viewer) };
    let way = if at_source { "direct" } else { "reversed" };
    // Over the relay the rest would take twice as long as is allowed, so that an end of the film is no end of the relay.
    let left = fs::metadata(media::film(24, 4000)?)?.len() - world.received()?;
    ensure!(left > 2 * UPGRADE.as_secs() * RELAY_BYTES_PER_S, "only {left} bytes are left");
    let opened = Instant::now();
    net.open(peer.listen.port())?;
    let (mut relayed, mut last_grown, mut stalls, mut is_better) =
        (world.relayed()?, Duration::ZERO, 0, false);
    while opened.elapsed() < 2 * UPGRADE {
        let now = world.relayed()?;
        if now > relayed {
            (relayed, last_grown) = (now, opened.elapsed());
        }
        // The stream is there until its reader has all of it.
        if let Ok(stream) = world.viewer.stream(&world.id) {
            stalls = stream["stalls"].as_u64().context("a number")?;
            is_better |= stream["peers"].as_array().context("a list")?.iter().any(|peer| peer["path"] == way);
        }
    }
    ensure!(is_better, "the source was never reached {way}");
    ensure!(last_grown <= UPGRADE, "relayed bytes grew for {last_grown:?}");
    world.finish(&mut reading)?;
    ensure!(stalls == 0, "the reader waited {stalls} times");
    println!("relayed bytes stopped {last_grown:?} after the router opened, then {way}");
    Ok(())
}

#[test]
fn a_stream_moves_from_the_tracker_to_a_peer_that_appears() -> Result<()> {
    in_lab(peer_appears)
}

fn peer_appears(lab: &Lab) -> Result<()> {
    // Slow enough that the film is not over when the peer comes.
    let world = World::new(lab, false, &["--relay-limit", "5M"])?;
    let mut reading = world.play("600k")?;
    world.await_carried("the tracker", World::by_tracker)?;
    let open = PeerSpec { namespace: None, ..behind(&world.source_net, &world.tracker) };
    let newcomer = lab.peer("newcomer", &world.tracker, &open)?;
    let carried =
        || newcomer.get_json("/api/status")?["relaying"]["carried_bytes"].as_u64().context("a number");
    await_until("the peer to carry the stream on", PATIENCE, || Ok(carried()? > 500_000))?;
    let before = world.by_tracker()?;
    world.finish(&mut reading)?;
    ensure!(world.by_tracker()? == before, "the tracker relayed on");
    Ok(())
}

#[test]
fn a_relay_that_alters_bytes_is_left_and_the_source_is_not_blamed() -> Result<()> {
    in_lab(bytes_are_altered)
}

fn bytes_are_altered(lab: &Lab) -> Result<()> {
    // The peer in the open listens on loopback; whoever reaches it from outside comes through what turns bits.
    let world = World::with_relay(lab, &[], |spec, net| {
        let port = free_port()?;
        turn_bits(SocketAddr::from((net.gateway_ip, port)), SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        Ok(PeerSpec { listen_ip: None, listen_port: Some(port), ..spec })
    })?;
    let mut reading = world.play("600k")?;
    let corrupt = || world.viewer.stream(&world.id)?["corrupt_bytes"].as_u64().context("a number");
    await_until("an altered byte to be found", PATIENCE, || Ok(corrupt()? > 0))?;
    ensure!(world.by_tracker()? == 0, "the tracker relayed before there was a reason");
    await_until("the tracker to relay", PATIENCE, || Ok(world.by_tracker()? > 500_000))?;
    let stream = world.viewer.stream(&world.id)?;
    let peers = stream["peers"].as_array().context("a list")?;
    ensure!(peers.iter().all(|peer| peer["banned"] == false), "an honest source was banned: {peers:#?}");
    ensure!(peers.iter().any(|peer| peer["connected"] == true), "nobody is connected: {peers:#?}");
    world.finish(&mut reading)?;
    Ok(())
}

/// Passes on what is said to `listen`, to `to` and back, and turns a bit of what diallers say now and then.
fn turn_bits(listen: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    let thread = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.into()).spawn(run).map(drop)
    };
    thread(
        "accept",
        Box::new(move || {
            for near in listener.incoming().flatten() {
                let ways = TcpStream::connect(to)
                    .and_then(|far| Ok([(near.try_clone()?, far.try_clone()?, true), (far, near, false)]));
                for (from, into, turns) in ways.into_iter().flatten() {
                    if thread("pass", Box::new(move || pass_on(from, into, turns))).is_err() {
                        return;
                    }
                }
            }
        }),
    )?;
    Ok(())
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, turns: bool) {
    let (mut buffer, mut passed) = ([0; 16 * 1024], 0);
    while let Ok(read) = from.read(&mut buffer) {
        let was = passed / BYTES_A_TURN;
        passed += read;
        // Far from where a handshake is, and hardly ever where anything but media is.
        if turns && passed / BYTES_A_TURN > was {
            buffer[read / 2] ^= 0x10;
        }
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // What is gone already need not be told so.
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

#[test]
fn every_pair_of_peers_behind_routers_reaches_each_other() -> Result<()> {
    in_lab(every_pair)
}

fn every_pair(lab: &Lab) -> Result<()> {
    const PEERS: u32 = 4;
    let nets = (0..PEERS).map(|_| Nat::new()).collect::<Result<Vec<_>>>()?;
    let tracker = lab.tracker_at(Ipv4Addr::UNSPECIFIED, &[], &[])?;
    let films = (0..PEERS).map(|n| media::film(2, 600 + n)).collect::<Result<Vec<_>>>()?;
    let mut peers = Vec::new();
    for ((n, net), film) in nets.iter().enumerate().zip(&films) {
        let shared = lab.library(&format!("shared{n}"), &[film])?;
        let spec = PeerSpec { shares: vec![shared], ..behind(net, &tracker) };
        peers.push(lab.peer(&format!("peer{n}"), &tracker, &spec)?);
    }
    let mut pairs = 0;
    for (n, (net, viewer)) in nets.iter().zip(&peers).enumerate() {
        for (m, film) in films.iter().enumerate().filter(|(m, _)| *m != n) {
            let name = film.file_name().context("a name")?.to_string_lossy();
            viewer.await_file(&name, 1)?;
            let (id, copy) = (media::content_id(film)?, lab.folder("out")?.join(format!("{n}-{m}.ts")));
            let mut reading = Reading::begin(net, &viewer.url(&id), &copy, "10M")?;
            await_until(&format!("{name} at peer {n}"), PATIENCE, || Ok(reading.0.try_wait()?.is_some()))?;
            ensure!(media::content_id(&copy)? == id, "{name} differs at peer {n}");
            pairs += 1;
        }
    }
    ensure!(pairs == PEERS * (PEERS - 1), "{pairs} pairs");
    let relayed = tracker.get_json("/api/status")?["relayed_bytes"].as_u64().unwrap_or(0);
    ensure!(relayed > 0, "nobody was relayed");
    println!("{pairs} of {pairs} pairs, {relayed} bytes relayed");
    Ok(())
}

fn in_lab(scenario: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let lab = Lab::new()?;
    lab.explain(scenario(&lab))
}

/// A film at a peer behind one router, a viewer behind another, and a peer in the open.
struct World {
    id: String,
    copy: std::path::PathBuf,
    tracker: Tracker,
    relay: Peer,
    source: Peer,
    viewer: Peer,
    viewer_net: Nat,
    source_net: Nat,
}

impl World {
    fn new(lab: &Lab, relays: bool, options: &[&str]) -> Result<Self> {
        Self::with_relay(lab, options, |spec, _| Ok(PeerSpec { no_relay: !relays, ..spec }))
    }

    fn with_relay(
        lab: &Lab,
        options: &[&str],
        relay: impl FnOnce(PeerSpec, &Nat) -> Result<PeerSpec>,
    ) -> Result<Self> {
        let film = media::film(24, 4000)?;
        let id = media::content_id(&film)?;
        let (source_net, viewer_net) = (Nat::new()?, Nat::new()?);
        let tracker = lab.tracker_at(Ipv4Addr::UNSPECIFIED, &[], options)?;
        // The tracker sees it come from where both routers reach it.
        let open = PeerSpec { namespace: None, ..behind(&source_net, &tracker) };
        let open = relay(open, &source_net)?;
        let relay = lab.peer("relay", &tracker, &open)?;
        let shared = lab.library("shared", &[&film])?;
        let sharing = PeerSpec { shares: vec![shared], ..behind(&source_net, &tracker) };
        let source = lab.peer("source", &tracker, &sharing)?;
        let viewer = lab.peer("viewer", &tracker, &behind(&viewer_net, &tracker))?;
        viewer.await_file("film-24s-4000k.ts", 1)?;
        await_until("everybody to be there", PATIENCE, || {
            Ok(tracker.get_json("/api/clients")?.as_array().is_some_and(|clients| clients.len() == 3))
        })?;
        if !open.no_relay {
            let offers = || Ok(tracker.get_json("/api/status")?["peer_relays"]["offering"] == 1);
            await_until("the tracker to know the peer in the open", PATIENCE, offers)?;
        }
        let copy = lab.folder("out")?.join("copy.ts");
        let world = Self { id, copy, tracker, relay, source, viewer, viewer_net, source_net };
        world.opens_nothing_ungranted()?;
        Ok(world)
    }

    /// A token nobody granted opens nothing, neither at the tracker nor at a peer.
    fn opens_nothing_ungranted(&self) -> Result<()> {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, self.relay.listen.port()));
        for relay in [peer, self.tracker.addr] {
            for token in ["0123456789abcdef0123456789abcdef", "nonsense"] {
                http::get(relay, &format!("/relay/{token}"), &[])?.expect(404)?;
            }
        }
        Ok(())
    }

    /// Starts to play; the stream is a relayed one.
    fn play(&self, rate: &str) -> Result<Reading> {
        let reading = Reading::begin(&self.viewer_net, &self.viewer.url(&self.id), &self.copy, rate)?;
        let paths = await_paths(&self.viewer, &self.id)?;
        ensure!(paths == ["relayed"], "bytes came over {paths:?}");
        Ok(reading)
    }

    fn await_carried(&self, who: &str, carried: impl Fn(&Self) -> Result<u64>) -> Result<()> {
        await_until(&format!("{who} to carry the stream"), PATIENCE, || Ok(carried(self)? > MIDSTREAM_BYTES))
    }

    /// The whole film arrives, and it is the film.
    fn finish(&self, reading: &mut Reading) -> Result<()> {
        await_until("the whole film", Duration::from_secs(50), || Ok(reading.0.try_wait()?.is_some()))
            .with_context(|| format!("{:#}", self.viewer.stream(&self.id).unwrap_or_default()))?;
        ensure!(media::content_id(&self.copy)? == self.id, "the bytes differ from the film's");
        ensure!(fs::metadata(&self.copy)?.len() > MIDSTREAM_BYTES, "the film is too short for this test");
        Ok(())
    }

    fn by_tracker(&self) -> Result<u64> {
        self.tracker.get_json("/api/status")?["relayed_bytes"].as_u64().context("a number")
    }

    fn by_peer(&self) -> Result<u64> {
        self.relay.get_json("/api/status")?["relaying"]["carried_bytes"].as_u64().context("a number")
    }

    fn relayed(&self) -> Result<u64> {
        Ok(self.by_tracker()? + self.by_peer()?)
    }

    fn received(&self) -> Result<u64> {
        self.viewer.stream(&self.id)?["received_bytes"].as_u64().context("a number")
    }
}
