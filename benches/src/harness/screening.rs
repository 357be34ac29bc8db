//! A screening: the product's player at work on a film of numbered frames, with a record of all that was seen and heard.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use media::{MediaSource, OutputChoice, Player, PlayerOptions, PlayerSnapshot, PlayerState, VideoFrame};
use serde_json::Value;

use super::media::read_number;

/// Sample rate of everything recorded here.
pub const RATE_HZ: f64 = 48_000.0;
/// Longer than this nothing here takes, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Louder than this is not silence.
const AUDIBLE: f32 = 0.05;

/// A player at work.
pub struct Screening {
    /// The player.
    pub player: Player,
    shown: Arc<Mutex<Vec<(u64, bool)>>>,
    folder: PathBuf,
}

impl std::fmt::Debug for Screening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Screening").field(&self.player).finish()
    }
}

/// A frame that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// The number it says.
    pub number: u64,
    /// Whether it is a flash.
    pub is_flash: bool,
    /// When it was shown, since the player was opened.
    pub wall_ms: f64,
}

/// All that was seen and heard.
#[derive(Debug)]
pub struct Record {
    /// Every frame shown, in order.
    pub frames: Vec<Shown>,
    /// The left channel, from the moment the player was opened.
    pub sound: Vec<f32>,
    /// The player at the end.
    pub last: PlayerSnapshot,
}

impl Screening {
    /// Opens a player whose records are kept in `folder`; `output` is told where to put the sound.
    pub fn open(
        source: Arc<dyn MediaSource>,
        name: &str,
        folder: PathBuf,
        output: impl FnOnce(PathBuf) -> OutputChoice,
        start_paused: bool,
    ) -> Self {
        let shown: Arc<Mutex<Vec<(u64, bool)>>> = Arc::default();
        let tap = Arc::clone(&shown);
        let options = PlayerOptions {
            output: output(folder.join("sound.wav")),
            start_paused,
            frame_log: Some(folder.join("frames.jsonl")),
            frame_tap: Some(Arc::new(move |frame: &VideoFrame| {
                tap.lock().unwrap_or_else(PoisonError::into_inner).push(read_number(&frame.rgba));
            })),
            ..PlayerOptions::default()
        };
        Self { player: Player::open(source, name, options), shown, folder }
    }

    /// The numbers of the frames shown so far.
    pub fn numbers(&self) -> Vec<u64> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(number, _)| *number).collect()
    }

    /// Waits until the player is as wanted.
    pub fn wait(&self, what: &str, until: impl Fn(&PlayerSnapshot) -> bool) -> Result<PlayerSnapshot> {
        let begun = Instant::now();
        loop {
            let snapshot = self.player.snapshot();
            if until(&snapshot) {
                return Ok(snapshot);
            }
            ensure!(snapshot.state != PlayerState::Failed, "waiting for {what}: {snapshot:?}");
            ensure!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {snapshot:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end and reads the records.
    pub fn finish(self) -> Result<Record> {
        let last = self.wait("the end", |player| player.state == PlayerState::Ended)?;
        // The records are whole once the player is gone.
        drop(self.player);
        let log = fs::read_to_string(self.folder.join("frames.jsonl"))?;
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            log.lines().count() == shown.len(),
            "{} frames, {} in the log",
            shown.len(),
            log.lines().count()
        );
        let frames = log.lines().zip(shown.iter()).map(|(line, (number, is_flash))| {
            let line: Value = serde_json::from_str(line)?;
            let wall_ms = line["wall_ms"].as_f64().context("a time")?;
            Ok(Shown { number: *number, is_flash: *is_flash, wall_ms })
        });
        let frames = frames.collect::<Result<_>>()?;
        let wav = fs::read(self.folder.join("sound.wav"))?;
        Ok(Record { frames, sound: left_channel(wav.get(44..).unwrap_or_default()), last })
    }
}

impl Record {
    /// Each frame's number.
    pub fn numbers(&self) -> Vec<u64> {
        self.frames.iter().map(|frame| frame.number).collect()
    }

    /// For every beep heard whose flash was shown, how much later the flash was seen. Without the first: the frame a player starts on
    /// is shown as soon as it is there, while the sound is still being gathered.
    pub fn sync_offsets_ms(&self) -> Vec<f64> {
        let flashes: Vec<f64> =
            self.frames.iter().filter(|frame| frame.is_flash).map(|frame| frame.wall_ms).collect();
        let beeps = onsets_ms(&self.sound);
        let offsets = beeps.iter().skip(1).filter_map(|beep| {
            let offsets = flashes.iter().map(|flash| flash - beep);
            offsets.min_by(|a, b| a.abs().total_cmp(&b.abs()))
        });
        offsets.collect()
    }
}

/// The left channel of interleaved 16-bit stereo.
pub fn left_channel(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|frame| f32::from(i16::from_le_bytes([frame[0], frame[1]])) / 32_767.0)
        .collect()
}

/// The frequency of a tone by its rising zero crossings, how long it was heard, and the longest time between two crossings. The first
/// and the last tenth of a second are left out, where fades are.
pub fn tone(sound: &[f32]) -> Result<Tone> {
    let is_audible = |sample: &f32| sample.abs() > AUDIBLE;
    let first = sound.iter().position(is_audible).context("nothing is to be heard")?;
    let last = sound.iter().rposition(is_audible).context("nothing is to be heard")?;
    let edge = (RATE_HZ / 10.0) as usize;
    let middle = sound.get(first + edge..last.saturating_sub(edge)).context("too short a tone")?;
    let rising: Vec<usize> =
        (1..middle.len()).filter(|at| middle[at - 1] < 0.0 && middle[*at] >= 0.0).collect();
    let longest = rising.windows(2).map(|pair| pair[1] - pair[0]).max().context("no tone")?;
    let span = rising[rising.len() - 1] - rising[0];
    Ok(Tone {
        hz: (rising.len() - 1) as f64 * RATE_HZ / span as f64,
        seconds: (last - first) as f64 / RATE_HZ,
        longest_period_ms: longest as f64 * 1000.0 / RATE_HZ,
    })
}

/// What is known of a tone.
#[derive(Debug, Clone, Copy)]
pub struct Tone {
    /// Cycles a second.
    pub hz: f64,
    /// From the first to the last audible sample.
    pub seconds: f64,
    /// A gap or a click makes this longer than a period.
    pub longest_period_ms: f64,
}

/// When a sound began after at least a tenth of a second of silence.
fn onsets_ms(sound: &[f32]) -> Vec<f64> {
    let mut onsets = Vec::new();
    let mut quiet_samples = RATE_HZ as usize;
    for (at, sample) in sound.iter().enumerate() {
        if sample.abs() <= 0.1 {
            quiet_samples += 1;
            continue;
        }
        if quiet_samples > RATE_HZ as usize / 10 {
            onsets.push(at as f64 * 1000.0 / RATE_HZ);
        }
        quiet_samples = 0;
    }
    onsets
}
