//! Films of the network, decoded by the product's own player while they arrive: every frame once and in its place, sound and
//! picture together.
//!
//! Tracker and sharers are the real programs, the viewer is the node the desktop client runs. The sharers' uploads are limited to a
//! few times the film's rate, so that nothing is here before it is needed.

#![allow(clippy::print_stdout, reason = "a scenario prints its figures")]

use std::{
    env,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use benches::harness::{
    Lab, Peer, PeerSpec, Tracker, await_until,
    media::{self as clips, NUMBERED_FPS, Sound, TONE_HZ},
    screening::{Screening, Tone, left_channel, tone},
    viewer::Viewer,
};
use media::{OutputChoice, PlayerState};
use shared::{MediaKind, snapshot::NetworkFile};

/// How far a frame and its sound may be apart.
const LIP_SYNC_MS: f64 = 40.0;

/// A tracker whose library has something else, two sharers that give `rate` each, and a viewer.
struct Network {
    // Fields are dropped in this order: the viewer says goodbye to programs that still run.
    viewer: Viewer,
    file: NetworkFile,
    _sharers: Vec<Peer>,
    _tracker: Tracker,
    lab: Lab,
}

impl Network {
    fn with(film: &Path, rate: &'static str) -> Result<Self> {
        let lab = Lab::new()?;
        let library = lab.library("library", &[&clips::clip("clip.opus")?])?;
        let tracker = lab.tracker(&[&library])?;
        let name = film.file_name().and_then(|name| name.to_str()).context("a name")?;
        let is_audio = name.ends_with(".flac");
        let (kind, word) = if is_audio { (MediaKind::Audio, "audio") } else { (MediaKind::Video, "video") };
        let shared = lab.library("shared", &[film])?;
        let spec = PeerSpec::sharer(word, &shared).limited(rate);
        let sharers = vec![lab.peer("ada", &tracker, &spec)?, lab.peer("bob", &tracker, &spec)?];
        let viewer = Viewer::start(&lab, "viewer", &tracker, kind)?;
        let file = viewer.await_file(name, 2)?;
        ensure!(!file.at_origin, "the tracker is not to have {name}");
        Ok(Self { viewer, file, _sharers: sharers, _tracker: tracker, lab })
    }

    fn screen(
        &self,
        output: impl FnOnce(PathBuf) -> OutputChoice,
        start_paused: bool,
    ) -> Result<(Screening, std::sync::Arc<peer_actor::store::Content>)> {
        let (source, content) = self.viewer.open(&self.file)?;
        let folder = self.lab.folder("screening")?;
        Ok((Screening::open(source, &self.file.name, folder, output, start_paused), content))
    }
}

#[test]
fn every_frame_of_an_mp4_with_its_index_at_the_end_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("mp4")
}

#[test]
fn every_frame_of_an_mkv_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("mkv")
}

#[test]
fn every_frame_of_a_webm_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("webm")
}

#[test]
fn every_frame_of_a_transport_stream_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("ts")
}

#[test]
fn every_frame_of_a_mov_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("mov")
}

#[test]
fn every_frame_of_an_avi_is_shown_once_while_it_arrives() -> Result<()> {
    every_frame_once("avi")
}

/// Plays as fast as the bytes arrive, in virtual time: nothing can be late by accident, so nothing may be left out.
fn every_frame_once(ending: &str) -> Result<()> {
    const SECONDS: u32 = 8;
    let network = Network::with(&clips::numbered(ending, SECONDS, Sound::Tone)?, "5M")?;
    let (screening, content) = network.screen(OutputChoice::CaptureUnpaced, false)?;
    screening.wait("the first frame", |player| player.frames_shown > 0)?;
    let held_at_start = content.verified_bytes();
    ensure!(held_at_start < network.file.size, "all of it was here before anything was shown");
    let record = screening.finish()?;
    let frames = u64::from(SECONDS) * NUMBERED_FPS;
    ensure!(record.numbers() == (0..frames).collect::<Vec<_>>(), "{ending}: {:?}", record.numbers());
    ensure!((record.last.frames_dropped, record.last.audio_underruns) == (0, 0), "{:?}", record.last);
    let heard = assert_tone(&record.sound, f64::from(SECONDS))?;
    let stream = network.viewer.stream(&network.file)?;
    let gave: Vec<u64> = stream.peers.iter().map(|peer| peer.received_bytes).collect();
    ensure!(gave.iter().filter(|bytes| **bytes > 0).count() == 2, "not both sharers gave: {stream:#?}");
    println!(
        "{}: {frames} frames in order, {held_at_start} of {} bytes here at the first frame, from the sharers {gave:?}, {heard:?}",
        network.file.name, network.file.size
    );
    Ok(())
}

#[test]
fn flash_and_beep_stay_together_in_real_time_while_the_film_arrives() -> Result<()> {
    let network = Network::with(&clips::numbered("mkv", 8, Sound::Beeps)?, "5M")?;
    let (screening, content) = network.screen(OutputChoice::Capture, false)?;
    screening.wait("playing", |player| player.state == PlayerState::Playing)?;
    ensure!(!content.is_complete(), "all was here before anything was shown");
    let record = screening.finish()?;
    let offsets = record.sync_offsets_ms();
    println!("flash after beep, in ms: {offsets:.1?}; {} frames, {:?}", record.frames.len(), record.last);
    // On a busy machine a flash may be left out, which is then nothing to compare with.
    let close: Vec<&f64> = offsets.iter().filter(|ms| ms.abs() < 500.0).collect();
    ensure!(offsets.len() >= 6 && close.len() >= 5, "{offsets:?}");
    ensure!(close.iter().all(|ms| ms.abs() <= LIP_SYNC_MS), "{offsets:?}");
    ensure!(record.numbers().is_sorted_by(|a, b| a < b), "out of order: {:?}", record.numbers());
    Ok(())
}

#[test]
fn a_seek_to_bytes_that_are_not_here_lands_on_exactly_the_frame_asked_for() -> Result<()> {
    const SECONDS: u64 = 30;
    for ending in ["mp4", "mkv"] {
        let network = Network::with(&clips::numbered(ending, SECONDS as u32, Sound::Tone)?, "6M")?;
        let (screening, content) = network.screen(|_| OutputChoice::Null, true)?;
        screening.wait("the first frame", |player| player.frames_shown == 1)?;
        let mut fresh = 0;
        // None is at the border of two frames, where containers that count in milliseconds round.
        for target_ms in [24_017_u64, 9_450, 17_983, 450, 27_010] {
            let byte = network.file.size * target_ms / (SECONDS * 1000);
            let is_here = content.try_read(byte, &mut [0; 1])?.is_some();
            fresh += usize::from(!is_here);
            let shown = screening.player.snapshot().frames_shown;
            screening.player.seek_ms(target_ms);
            screening.wait("the frame", |player| {
                player.frames_shown > shown && player.state == PlayerState::Paused
            })?;
            let landed = screening.numbers().last().copied();
            ensure!(
                landed == Some(target_ms * NUMBERED_FPS / 1000),
                "{ending}: {landed:?} at {target_ms} ms"
            );
            ensure!(screening.player.snapshot().position_ms == target_ms, "{:?}", screening.player);
        }
        ensure!(fresh >= 2, "{ending}: only {fresh} of the places were still missing");
        println!("{}: five seeks landed, {fresh} of them where nothing was yet", network.file.name);
    }
    Ok(())
}

/// Set in the process that plays into the private sound server.
const SINK: &str = "RUSTEZE_TEST_SINK";

#[test]
fn a_track_of_the_network_is_heard_from_a_real_sound_server() -> Result<()> {
    if env::var_os(SINK).is_some() {
        return play_into_the_sink();
    }
    if ["pulseaudio", "parec"].iter().any(|program| Command::new(program).arg("--version").output().is_err())
    {
        println!("skipped: pulseaudio and parec are not installed; scripts/setup.sh test installs them");
        return Ok(());
    }
    let server = SoundServer::start()?;
    // The sound library reads its environment, which a process sets for another one only.
    let played = Command::new(env::current_exe()?)
        .args(["--exact", "a_track_of_the_network_is_heard_from_a_real_sound_server", "--nocapture"])
        .env(SINK, "1")
        .env("PULSE_SERVER", &server.address)
        .env("ALSA_CONFIG_PATH", &server.alsa_config)
        .output()?;
    let said = String::from_utf8_lossy(&played.stdout);
    ensure!(played.status.success(), "{said}{}", String::from_utf8_lossy(&played.stderr));
    let heard = tone(&server.recorded()?)?;
    println!("{}\nheard from the sound server: {heard:?}", said.trim());
    ensure!((heard.hz - TONE_HZ).abs() < 2.0, "{heard:?}");
    ensure!(heard.seconds > 2.0, "{heard:?}");
    Ok(())
}

fn play_into_the_sink() -> Result<()> {
    let network = Network::with(&clips::clip("clip.flac")?, "2M")?;
    let (screening, _) = network.screen(|_| OutputChoice::Auto, false)?;
    let player = screening.wait("four seconds of sound", |player| player.position_ms >= 4000)?;
    println!("{player:?}");
    ensure!(player.output == "device", "the sound went nowhere: {player:?}");
    Ok(())
}

/// A sound server of our own with a sink that swallows everything, and a recorder at that sink.
struct SoundServer {
    address: String,
    alsa_config: PathBuf,
    recording: PathBuf,
    programs: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl SoundServer {
    fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("rusteze-sound-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let socket = folder.path().join("native");
        let address = format!("unix:{}", socket.display());
        let alsa_config = folder.path().join("alsa.conf");
        let text = "</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n";
        std::fs::write(&alsa_config, text)?;
        let recording = folder.path().join("recording.raw");
        let server = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"])
            .args(["-L", "module-null-sink sink_name=test rate=48000 channels=2"])
            .args([
                "-L",
                &format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()),
            ])
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut this = Self { address, alsa_config, recording, programs: vec![server], _folder: folder };
        await_until("the sound server", Duration::from_secs(15), || Ok(socket.exists()))?;
        let recorder = Command::new("parec")
            .args(["-d", "test.monitor", "--format=s16le", "--rate=48000", "--channels=2"])
            .env("PULSE_SERVER", &this.address)
            .stdin(Stdio::null())
            .stdout(File::create(&this.recording)?)
            .stderr(Stdio::null())
            .spawn()?;
        this.programs.push(recorder);
        // The monitor of a sink gives silence, not nothing: from now on it records.
        let recording = this.recording.clone();
        await_until(
            "the recorder",
            Duration::from_secs(15),
            || Ok(std::fs::metadata(&recording)?.len() > 0),
        )?;
        Ok(this)
    }

    fn recorded(&self) -> Result<Vec<f32>> {
        let mut bytes = Vec::new();
        File::open(&self.recording)?.read_to_end(&mut bytes)?;
        Ok(left_channel(&bytes))
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            // An error means it is gone already, which is what is wanted.
            drop(program.kill());
            drop(program.wait());
        }
    }
}

/// One uninterrupted tone of so many seconds.
fn assert_tone(sound: &[f32], seconds: f64) -> Result<Tone> {
    let heard = tone(sound)?;
    ensure!((heard.hz - TONE_HZ).abs() < 1.0, "{heard:?}");
    ensure!((heard.seconds - seconds).abs() < 0.15, "{heard:?}");
    ensure!(heard.longest_period_ms < 1100.0 / TONE_HZ, "a gap or a click: {heard:?}");
    Ok(heard)
}
