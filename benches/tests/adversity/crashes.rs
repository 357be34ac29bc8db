//! A viewer that is killed again and again.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{Lab, Peer, PeerSpec, Program, Tracker, http, media};
use peer_actor::{
    identity::random_bytes,
    store::{Store, StoreConfig},
};
use shared::{
    ContentId,
    content::{chunk_at, is_chunk},
};

const KILLS: u32 = 20;
const NAME: &str = "viewer";

#[test]
fn what_a_killed_viewer_claims_is_there_and_it_goes_on_from_it() -> Result<()> {
    let lab = Lab::new()?;
    lab.explain(kill_and_check(&lab))
}

fn kill_and_check(lab: &Lab) -> Result<()> {
    let film = media::film(30, 6000)?;
    let id = media::content_id(&film)?;
    let tracker = lab.tracker(&[])?;
    let shared = lab.library("shared", &[&film])?;
    // Slow enough that the film is not here before the last kill.
    let source = lab.peer("source", &tracker, &PeerSpec::sharer("video", &shared).limited("8M"))?;
    source.await_file("film-30s-6000k.ts", 1)?;
    let folder = lab.folder(&format!("{NAME}-data"))?;
    let out = lab.folder("out")?.join("film.ts");

    let mut held_bytes = 0;
    let mut grown = 0;
    let mut moments = Vec::new();
    for kill in 0..KILLS {
        let moment = random_moment()?;
        moments.push(moment.as_millis());
        Viewing::begin(lab, &tracker, kill, &id, &out)?.kill_after(moment)?;
        let now_bytes =
            check_claims(&folder, &id).with_context(|| format!("after kill {kill}: {moments:?}"))?;
        ensure!(now_bytes >= held_bytes, "kill {kill} took {} verified bytes", held_bytes - now_bytes);
        grown += u32::from(now_bytes > held_bytes);
        held_bytes = now_bytes;
    }
    let size_bytes = fs::metadata(&film)?.len();
    println!("killed at {moments:?} ms: {held_bytes} of {size_bytes} bytes held, grown {grown} times");
    ensure!(grown > KILLS / 4, "the viewer hardly got anywhere: grown {grown} times");

    let begun = Instant::now();
    let mut last = lab.get(NAME, &tracker, &PeerSpec::viewer("video"), &id, &out)?;
    let status = last.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "the last run failed:\n{}", last.log());
    ensure!(media::content_id(&out)? == id, "the file differs");
    println!("the rest came in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A viewer to be killed: `get` and a gateway's reader by turns, on the same folder.
enum Viewing {
    Get(Program),
    Gateway(Peer),
}

impl Viewing {
    fn begin(lab: &Lab, tracker: &Tracker, number: u32, id: &str, out: &Path) -> Result<Self> {
        let spec = PeerSpec::viewer("video");
        if number.is_multiple_of(2) {
            return Ok(Self::Get(lab.get(NAME, tracker, &spec, id, out)?));
        }
        let peer = lab.peer(NAME, tracker, &spec)?;
        peer.await_file("film-30s-6000k.ts", 1)?;
        let (gateway, path) = (peer.gateway, format!("/stream/{id}"));
        // Reads until the viewer is killed, which is an error there and all right here.
        std::thread::Builder::new()
            .name("reader".into())
            .spawn(move || http::get(gateway, &path, &[]).ok())?;
        Ok(Self::Gateway(peer))
    }

    fn kill_after(self, moment: Duration) -> Result<()> {
        std::thread::sleep(moment);
        match self {
            Self::Get(mut program) => program.kill_hard(),
            Self::Gateway(mut peer) => peer.program.kill_hard(),
        }
    }
}

/// Reads every leaf the store claims, which verifies it against the content id; how many bytes that are.
fn check_claims(folder: &Path, id: &str) -> Result<u64> {
    let content_id: ContentId = id.parse()?;
    let cache_dir = folder.join("cache");
    let store = Store::open(StoreConfig { cache_dir, quota_bytes: 10 << 30 })?;
    let Some(content) = store.get(&content_id) else { return Ok(0) };
    let mut checked_bytes = 0;
    for run in content.verified_ranges() {
        let mut leaf = run.first;
        while leaf < run.first + run.count {
            let chunk = chunk_at(leaf, 1, content.size_bytes());
            ensure!(is_chunk(chunk, content.size_bytes()), "{chunk:?}");
            let (_, payload) =
                content.read_chunk(chunk, 0).with_context(|| format!("leaf {leaf} is claimed and wrong"))?;
            checked_bytes += payload.len() as u64;
            leaf += 1;
        }
    }
    ensure!(checked_bytes == content.verified_bytes(), "the count differs from what is there");
    Ok(checked_bytes)
}

fn random_moment() -> Result<Duration> {
    let [low, high] = random_bytes()?;
    Ok(Duration::from_millis(100 + u64::from(u16::from_le_bytes([low, high])) % 1000))
}
