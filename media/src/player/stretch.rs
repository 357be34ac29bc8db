//! Faster or slower sound at the same pitch.
//!
//! Pure. Waveform-similarity overlap-add: the sound is cut into overlapping pieces which are laid closer together or
//! further apart; each piece is taken from where it continues the previous one most smoothly. What goes in comes out
//! in order, none lost: changing the speed or ending hands out what is still inside.

/// One stereo sample.
type Sample = (f32, f32);

/// Pieces overlap by this much; twice it is a piece.
const OVERLAP_MS: usize = 20;
/// How far around its place a better fit is looked for.
const SEARCH_MS: usize = 8;
/// The search compares every so manyth sample at every so manyth place, then refines.
const COARSE: usize = 4;

/// Stretched sound and the media time of its first sample.
#[derive(Debug, Default)]
pub(crate) struct Stretched {
    pub(crate) pts_us: i64,
    pub(crate) frames: Vec<Sample>,
}

#[derive(Debug)]
pub(crate) struct Stretch {
    rate_hz: u32,
    overlap: usize,
    search: usize,
    speed: f64,
    input: Vec<Sample>,
    /// Media time of `input[0]`.
    input_us: f64,
    /// Where in `input` the next piece would be cut without a search.
    place: f64,
    /// Where in `input` the previous piece goes on, once there is one.
    continues_at: Option<usize>,
}

impl Stretch {
    pub(crate) fn new(rate_hz: u32) -> Self {
        let per_ms = rate_hz as usize / 1000;
        Self {
            rate_hz,
            overlap: (OVERLAP_MS * per_ms).max(16),
            search: (SEARCH_MS * per_ms).max(8),
            speed: 1.0,
            input: Vec::new(),
            input_us: 0.0,
            place: 0.0,
            continues_at: None,
        }
    }

    pub(crate) fn set_speed(&mut self, speed: f32) {
        self.speed = f64::from(speed.clamp(0.25, 4.0));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// Takes sound that is played after what came before, whose first sample is at `pts_us`, and hands out what is ready.
    pub(crate) fn process(&mut self, frames: &[Sample], pts_us: i64) -> Stretched {
        if self.input.is_empty() {
            self.place = 0.0;
            self.continues_at = None;
        }
        // Anchored anew each time: the media's times may drift, and jump where a hole is too long to be filled with silence.
        self.input_us = pts_us as f64 - self.input.len() as f64 * 1e6 / f64::from(self.rate_hz);
        self.input.extend_from_slice(frames);
        let mut out = Stretched { pts_us: self.time_of(self.place), frames: Vec::new() };
        while self.place as usize + self.search + 2 * self.overlap <= self.input.len() {
            self.lay_piece(&mut out.frames);
        }
        self.forget_used();
        out
    }

    /// Hands out what is left, at normal speed.
    pub(crate) fn finish(&mut self) -> Stretched {
        let at = self.continues_at.unwrap_or(self.place as usize).min(self.input.len());
        let out = Stretched { pts_us: self.time_of(self.place), frames: self.input.split_off(at) };
        self.input.clear();
        self.continues_at = None;
        out
    }

    /// Cross-fades from where the last piece goes on into the piece that fits best.
    fn lay_piece(&mut self, out: &mut Vec<Sample>) {
        let wanted = self.place as usize;
        let from = self.continues_at.map_or(wanted, |goes_on| self.best_fit(goes_on, wanted));
        let before = self.continues_at.unwrap_or(from);
        for at in 0..self.overlap {
            let (Some(old), Some(new)) = (self.input.get(before + at), self.input.get(from + at)) else {
                break;
            };
            let fade = 0.5 - 0.5 * (std::f32::consts::PI * (at as f32 + 0.5) / self.overlap as f32).cos();
            out.push((old.0 + (new.0 - old.0) * fade, old.1 + (new.1 - old.1) * fade));
        }
        self.continues_at = Some(from + self.overlap);
        self.place += self.overlap as f64 * self.speed;
    }

    /// The start near `wanted` whose sound is most like what follows `goes_on`.
    fn best_fit(&self, goes_on: usize, wanted: usize) -> usize {
        let low = wanted.saturating_sub(self.search);
        let high = (wanted + self.search).min(self.input.len().saturating_sub(2 * self.overlap));
        let pick = |places: &mut dyn Iterator<Item = usize>| {
            places
                .map(|place| (place, self.likeness(goes_on, place)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .map_or(wanted, |(place, _)| place)
        };
        let rough = pick(&mut (low..=high).step_by(COARSE));
        pick(&mut (rough.saturating_sub(COARSE).max(low)..=(rough + COARSE).min(high)))
    }

    /// Normalised correlation of two stretches, one overlap long.
    fn likeness(&self, a: usize, b: usize) -> f32 {
        let (mut product, mut energy) = (0.0, 1e-9);
        for at in (0..self.overlap).step_by(COARSE) {
            let (Some(x), Some(y)) = (self.input.get(a + at), self.input.get(b + at)) else { break };
            let (x, y) = (x.0 + x.1, y.0 + y.1);
            product += x * y;
            energy += y * y;
        }
        product / energy.sqrt()
    }

    /// Drops what no later piece can reach back to.
    fn forget_used(&mut self) {
        let reach = (self.place as usize).saturating_sub(self.search);
        let used = self.continues_at.map_or(reach, |goes_on| goes_on.min(reach)).min(self.input.len());
        self.input.drain(..used);
        self.input_us += used as f64 * 1e6 / f64::from(self.rate_hz);
        self.place -= used as f64;
        self.continues_at = self.continues_at.map(|goes_on| goes_on - used);
    }

    fn time_of(&self, place: f64) -> i64 {
        (self.input_us + place * 1e6 / f64::from(self.rate_hz)).round() as i64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 48_000;

    #[test]
    fn the_pitch_stays_and_the_length_follows_the_speed() {
        for speed in [0.5_f32, 0.75, 1.25, 1.5, 2.0] {
            let out = stretched(&tone(440.0, RATE as usize * 2), speed, 1024);
            let expected = RATE as f32 * 2.0 / speed;
            assert!((out.len() as f32 - expected).abs() < 6000.0, "{speed}: {} of {expected}", out.len());
            let middle = &out[4800..out.len() - 9600];
            let hz = frequency(middle);
            assert!((hz - 440.0).abs() < 3.0, "{speed}: {hz} Hz");
            let steepest = middle.windows(2).map(|pair| (pair[1].0 - pair[0].0).abs()).fold(0.0, f32::max);
            assert!(steepest < 0.05, "{speed}: a click of {steepest}");
        }
    }

    #[test]
    fn output_times_follow_the_media() {
        let mut stretch = Stretch::new(RATE);
        stretch.set_speed(2.0);
        let mut last_us = -1;
        for chunk in 0..40_i64 {
            let at_us = 5_000_000 + chunk * 1024 * 1_000_000 / i64::from(RATE);
            let out = stretch.process(&tone(300.0, 1024), at_us);
            if !out.frames.is_empty() {
                assert!(out.pts_us > last_us);
                assert!(
                    out.pts_us <= at_us + 21_334 && out.pts_us > at_us - 120_000,
                    "{} {at_us}",
                    out.pts_us
                );
                last_us = out.pts_us;
            }
        }
    }

    #[test]
    fn a_hole_in_the_media_is_one_in_the_output_times() {
        let mut stretch = Stretch::new(RATE);
        stretch.set_speed(1.25);
        for chunk in 0..40_i64 {
            let hole_us = if chunk < 20 { 0 } else { 40_000_000 };
            let at_us = hole_us + chunk * 1024 * 1_000_000 / i64::from(RATE);
            let out = stretch.process(&tone(300.0, 1024), at_us);
            if !out.frames.is_empty() {
                let is_near = (at_us - 120_000..=at_us + 21_334).contains(&out.pts_us);
                assert!(is_near, "{} at {at_us}", out.pts_us);
            }
        }
    }

    #[test]
    fn finishing_hands_out_the_rest() {
        let mut stretch = Stretch::new(RATE);
        stretch.set_speed(1.5);
        assert!(stretch.process(&tone(440.0, 500), 0).frames.is_empty());
        assert_eq!(stretch.finish().frames.len(), 500);
        assert!(stretch.is_empty());
    }

    proptest! {
        #[test]
        fn any_chunking_and_speed_keeps_the_length(
            chunks in proptest::collection::vec(0..4000_usize, 1..40),
            speed in 0.5..2.0_f32,
        ) {
            let mut stretch = Stretch::new(RATE);
            stretch.set_speed(speed);
            let (mut given, mut taken) = (0, 0);
            for chunk in chunks {
                let sound = tone(200.0, chunk);
                taken += stretch.process(&sound, given as i64 * 1_000_000 / i64::from(RATE)).frames.len();
                given += chunk;
            }
            taken += stretch.finish().frames.len();
            let expected = given as f32 / speed;
            prop_assert!((taken as f32 - expected).abs() < 6000.0, "{taken} of {expected}");
        }
    }

    fn stretched(sound: &[Sample], speed: f32, chunk: usize) -> Vec<Sample> {
        let mut stretch = Stretch::new(RATE);
        stretch.set_speed(speed);
        let mut out = Vec::new();
        for (at, part) in sound.chunks(chunk).enumerate() {
            out.extend(stretch.process(part, (at * chunk) as i64 * 1_000_000 / i64::from(RATE)).frames);
        }
        out.extend(stretch.finish().frames);
        out
    }

    fn tone(hz: f32, frames: usize) -> Vec<Sample> {
        let value = |at: usize| 0.5 * (std::f32::consts::TAU * hz * at as f32 / RATE as f32).sin();
        (0..frames).map(|at| (value(at), value(at))).collect()
    }

    fn frequency(sound: &[Sample]) -> f32 {
        let rising: Vec<usize> =
            (1..sound.len()).filter(|at| sound[at - 1].0 < 0.0 && sound[*at].0 >= 0.0).collect();
        (rising.len() - 1) as f32 * RATE as f32 / (rising[rising.len() - 1] - rising[0]) as f32
    }
}
