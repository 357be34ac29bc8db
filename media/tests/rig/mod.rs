//! Runs a player over a clip and reads back what it showed and what it let hear.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use media::{
    FileSource, MediaSource, OutputChoice, Player, PlayerOptions, PlayerSnapshot, PlayerState, VideoFrame,
};

use crate::clips;

const PATIENCE: Duration = Duration::from_secs(40);
const RATE_HZ: f64 = 48_000.0;

/// A line of the frame log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) pts_ms: f64,
    pub(crate) wall_ms: f64,
    pub(crate) clock_ms: f64,
}

/// A player at work.
pub(crate) struct Running {
    player: Player,
    seen: Arc<Mutex<Vec<(u64, bool)>>>,
    dir: tempfile::TempDir,
}

/// A player's work when it is done.
pub(crate) struct Run {
    /// The number painted into each frame shown.
    pub(crate) numbers: Vec<u64>,
    /// Whether each frame shown was white.
    flashes: Vec<bool>,
    pub(crate) log: Vec<Shown>,
    pub(crate) last: PlayerSnapshot,
    samples: Vec<f32>,
}

impl Run {
    /// Plays a file to its end in virtual time.
    pub(crate) fn play(path: &Path) -> Self {
        Self::start(path, OutputChoice::CaptureUnpaced).finish()
    }

    pub(crate) fn start(path: &Path, output: impl FnOnce(PathBuf) -> OutputChoice) -> Running {
        Self::start_with(path, output, |_| {})
    }

    pub(crate) fn start_with(
        path: &Path,
        output: impl FnOnce(PathBuf) -> OutputChoice,
        adjust: impl FnOnce(&mut PlayerOptions),
    ) -> Running {
        let name = path.file_name().unwrap().to_str().unwrap();
        Self::over(Arc::new(FileSource::open(path).unwrap()), name, output, adjust)
    }

    pub(crate) fn over(
        source: Arc<dyn MediaSource>,
        name: &str,
        output: impl FnOnce(PathBuf) -> OutputChoice,
        adjust: impl FnOnce(&mut PlayerOptions),
    ) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let seen: Arc<Mutex<Vec<(u64, bool)>>> = Arc::default();
        let tap = Arc::clone(&seen);
        let mut options = PlayerOptions {
            output: output(dir.path().join("sound.wav")),
            frame_log: Some(dir.path().join("frames.jsonl")),
            frame_tap: Some(Arc::new(move |frame: &VideoFrame| {
                let number = clips::frame_number(&frame.rgba, frame.width, frame.height);
                let corner = frame.rgba[frame.rgba.len() - 4] > 200;
                tap.lock().unwrap().push((number, corner));
            })),
            ..Default::default()
        };
        adjust(&mut options);
        Running { player: Player::open(source, name, options), seen, dir }
    }

    /// The loudest sample, away from the ends where fades and codec edges are.
    pub(crate) fn peak(&self) -> f32 {
        self.samples.iter().skip(4800).fold(0.0, |peak, sample| sample.abs().max(peak))
    }

    /// Seconds between the first and the last audible sample.
    pub(crate) fn heard_seconds(&self) -> f64 {
        let audible = |sample: &f32| sample.abs() > 0.01;
        let first = self.samples.iter().position(audible).expect("some sound");
        let last = self.samples.iter().rposition(audible).expect("some sound");
        (last - first) as f64 / RATE_HZ
    }

    /// One uninterrupted tone of this frequency and length.
    pub(crate) fn assert_tone(&self, expected_hz: f64, expected_seconds: f64, what: &str) {
        let seconds = self.heard_seconds();
        assert!((seconds - expected_seconds).abs() < 0.12, "{what}: heard {seconds} s");
        let first = self.samples.iter().position(|sample| sample.abs() > 0.01).unwrap();
        let middle = &self.samples[first + 4800..first + (expected_seconds * RATE_HZ) as usize - 9600];
        let rising: Vec<usize> =
            (1..middle.len()).filter(|at| middle[at - 1] < 0.0 && middle[*at] >= 0.0).collect();
        let hz = (rising.len() - 1) as f64 * RATE_HZ / (rising[rising.len() - 1] - rising[0]) as f64;
        assert!((hz - expected_hz).abs() < 1.0, "{what}: {hz} Hz");
        let longest = rising.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        let period = RATE_HZ / expected_hz;
        assert!((longest as f64) < period * 1.1, "{what}: a gap or click of {longest} samples");
    }

    /// For each beep heard, how much later the flash next to it was seen. Without the very first: the frame a player
    /// starts on is shown as soon as it is there, while the sound is still being gathered.
    pub(crate) fn sync_offsets_ms(&self) -> Vec<f64> {
        let flashes: Vec<f64> = self
            .log
            .iter()
            .zip(&self.flashes)
            .filter(|(_, flash)| **flash)
            .map(|(line, _)| line.wall_ms)
            .collect();
        let mut beeps = Vec::new();
        let mut quiet = RATE_HZ as usize;
        for (at, sample) in self.samples.iter().enumerate() {
            if sample.abs() > 0.1 {
                if quiet > 4800 {
                    beeps.push(at as f64 * 1000.0 / RATE_HZ);
                }
                quiet = 0;
            } else {
                quiet += 1;
            }
        }
        beeps
            .into_iter()
            .skip(1)
            .filter_map(|beep| {
                let offsets = flashes.iter().map(|flash| flash - beep);
                offsets.min_by(|a, b| a.abs().total_cmp(&b.abs()))
            })
            .collect()
    }
}

impl Running {
    pub(crate) fn player(&self) -> &Player {
        &self.player
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.seen.lock().unwrap().iter().map(|(number, _)| *number).collect()
    }

    pub(crate) fn wait(&self, until: impl Fn(&PlayerSnapshot) -> bool) -> PlayerSnapshot {
        let begun = Instant::now();
        loop {
            let snapshot = self.player.snapshot();
            if until(&snapshot) {
                return snapshot;
            }
            assert!(begun.elapsed() < PATIENCE, "never happened: {snapshot:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end and reads the records.
    pub(crate) fn finish(self) -> Run {
        let last = self.wait(|s| matches!(s.state, PlayerState::Ended | PlayerState::Failed));
        assert_eq!(last.state, PlayerState::Ended, "{last:?}");
        drop(self.player);
        let text = std::fs::read_to_string(self.dir.path().join("frames.jsonl")).unwrap();
        let log = text
            .lines()
            .map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let ms = |key: &str| line[key].as_f64().unwrap();
                Shown { pts_ms: ms("pts_ms"), wall_ms: ms("wall_ms"), clock_ms: ms("clock_ms") }
            })
            .collect();
        let wav = std::fs::read(self.dir.path().join("sound.wav")).unwrap_or_default();
        let left = wav.get(44..).unwrap_or_default().chunks_exact(4);
        let samples =
            left.map(|frame| f32::from(i16::from_le_bytes([frame[0], frame[1]])) / 32_767.0).collect();
        let (numbers, flashes) = self.seen.lock().unwrap().iter().copied().unzip();
        Run { numbers, flashes, log, last, samples }
    }
}

/// Bytes of which a growing beginning and perhaps an end are here.
pub(crate) struct GatedSource {
    bytes: Vec<u8>,
    /// The bytes before the first and from the second on are here.
    have: Mutex<(usize, usize)>,
    changed: Condvar,
    blocking: Mutex<Vec<Range<u64>>>,
}

impl GatedSource {
    pub(crate) fn new(bytes: Vec<u8>) -> Arc<Self> {
        let nothing = Mutex::new((0, bytes.len()));
        Arc::new(Self { bytes, have: nothing, changed: Condvar::new(), blocking: Mutex::default() })
    }

    pub(crate) fn release(&self, have: usize) {
        self.have.lock().unwrap().0 = have.min(self.bytes.len());
        self.changed.notify_all();
    }

    pub(crate) fn release_end(&self, from: usize) {
        self.have.lock().unwrap().1 = from;
        self.changed.notify_all();
    }

    pub(crate) fn blocking_wants(&self) -> Vec<Range<u64>> {
        self.blocking.lock().unwrap().clone()
    }
}

impl MediaSource for GatedSource {
    fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn try_read(&self, pos: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let (before, from) = *self.have.lock().unwrap();
        let pos = pos as usize;
        let until = if pos >= from { self.bytes.len() } else { before };
        let here = self.bytes[..until].get(pos..).unwrap_or_default();
        let count = here.len().min(buf.len());
        buf[..count].copy_from_slice(&here[..count]);
        Ok((count > 0).then_some(count))
    }

    fn want(&self, range: Range<u64>, blocking: bool) {
        if blocking {
            self.blocking.lock().unwrap().push(range);
        }
    }

    fn generation(&self) -> u64 {
        let (before, from) = *self.have.lock().unwrap();
        (before + self.bytes.len() - from) as u64
    }

    fn wait_change(&self, seen: u64, timeout: Duration) -> u64 {
        let generation = |have: &(usize, usize)| (have.0 + self.bytes.len() - have.1) as u64;
        let have = self.have.lock().unwrap();
        generation(
            &self.changed.wait_timeout_while(have, timeout, |have| generation(have) == seen).unwrap().0,
        )
    }
}
