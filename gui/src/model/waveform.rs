//! A waveform at the width it is drawn: as many bars as fit.
//!
//! Pure. Invariant: the loudest bar stays the loudest; nothing is louder than it was.

/// `bars` bars of 0 to 1; each is the loudest of what it stands for, or its nearest where there are more than were given.
pub fn fit(waveform: &[u8], bars: usize) -> Vec<f32> {
    let given = waveform.len();
    if given == 0 {
        return Vec::new();
    }
    let height = |bar: usize| {
        let from = bar * given / bars;
        let to = ((bar + 1) * given / bars).clamp(from + 1, given);
        let loudest = waveform[from.min(given - 1)..to].iter().copied().max().unwrap_or(0);
        f32::from(loudest) / 255.0
    };
    (0..bars).map(height).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn loud_moments_are_not_lost_in_a_narrow_bar() {
        let mut waveform = vec![10; 300];
        waveform[217] = 255;
        let bars = fit(&waveform, 7);
        assert_eq!(bars.iter().position(|bar| *bar == 1.0), Some(217 * 7 / 300));
    }

    proptest! {
        #[test]
        fn any_waveform_fits_any_width(waveform in proptest::collection::vec(any::<u8>(), 0..400), bars in 0..900usize) {
            let fitted = fit(&waveform, bars);
            prop_assert_eq!(fitted.len(), if waveform.is_empty() { 0 } else { bars });
            let loudest = waveform.iter().max().map_or(0.0, |bar| f32::from(*bar) / 255.0);
            prop_assert!(fitted.iter().all(|bar| (0.0..=loudest).contains(bar)));
            let is_whole = bars >= 1 && !waveform.is_empty();
            prop_assert!(!is_whole || fitted.iter().copied().fold(0.0, f32::max) == loudest);
        }
    }
}
