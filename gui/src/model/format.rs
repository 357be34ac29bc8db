//! Numbers for people: bytes, rates, times and counts, short and stable in width.
//!
//! Pure; the one place that decides units and digits.

/// `1:02:03`, `4:05`; the hours appear only when there are some.
pub fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `512 B`, `1.4 MB`, `23 GB`: decimal units, two significant digits below ten.
pub fn bytes(count: u64) -> String {
    scaled(count as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// `800 bit/s`, `3.2 Mbit/s`.
pub fn rate(bits_per_second: u64) -> String {
    scaled(bits_per_second as f64, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// `800`, `3.2 M`: a rate where there is no room for its unit.
pub fn rate_in_short(bits_per_second: u64) -> String {
    scaled(bits_per_second as f64, &["bit", "k", "M", "G", "T"])
}

/// `3 files`, `1 file`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// `43 %`; 100 only when it is really all.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let percent = (u128::from(part) * 100 / u128::from(whole)).min(100);
    format!("{percent} %")
}

/// `–` when unknown, `0.4 ms`, `38 ms`.
pub fn round_trip(micros: u64) -> String {
    match micros {
        0 => "–".to_owned(),
        1..10_000 => format!("{:.1} ms", micros as f64 / 1000.0),
        _ => format!("{} ms", micros / 1000),
    }
}

/// `a moment`, `8 s`, `40 s`, `3 min`, `2 h`: a wait nobody can know to the second, rounded up.
pub fn about(ms: u64) -> String {
    match ms.div_ceil(1000) {
        0..=1 => "a moment".to_owned(),
        seconds @ 2..=9 => format!("{seconds} s"),
        seconds @ 10..=89 => format!("{} s", seconds.next_multiple_of(5)),
        seconds @ 90..=5_399 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// `1×`, `1.25×`.
pub fn speed(factor: f32) -> String {
    let text = format!("{factor:.2}");
    format!("{}×", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `720p`, `4K`, empty for sound: what people call a picture size.
pub fn resolution(width: u32, height: u32) -> String {
    match (width, height) {
        (0, _) | (_, 0) => String::new(),
        (3840.., _) | (_, 2160..) => "4K".to_owned(),
        (w, h) => format!("{}p", w.min(h)),
    }
}

fn scaled(value: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    // 999.5 would print as four digits, so it moves on to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if unit > 0 && value < 9.95 { format!("{value:.1} {name}") } else { format!("{value:.0} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_appear_only_when_there_are_some() {
        assert_eq!(clock(0), "0:00");
        assert_eq!(clock(65_999), "1:05");
        assert_eq!(clock(3_723_000), "1:02:03");
    }

    #[test]
    fn units_change_before_a_fourth_digit() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_600), "1.0 MB");
        assert_eq!(bytes(23_400_000), "23 MB");
        assert_eq!(rate(3_240_000), "3.2 Mbit/s");
    }

    #[test]
    fn a_hundred_percent_means_all() {
        assert_eq!(percent(999, 1000), "99 %");
        assert_eq!(percent(1000, 1000), "100 %");
        assert_eq!(percent(5, 0), "0 %");
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(count(1, "peer", "peers"), "1 peer");
        assert_eq!(count(0, "peer", "peers"), "0 peers");
    }

    #[test]
    fn a_wait_is_told_as_exactly_as_it_can_be_known() {
        assert_eq!(about(0), "a moment");
        assert_eq!(about(3_100), "4 s");
        assert_eq!(about(42_000), "45 s");
        assert_eq!(about(90_000), "2 min");
        assert_eq!(about(5_400_000), "2 h");
    }

    #[test]
    fn a_speed_has_no_idle_digits() {
        assert_eq!(speed(1.0), "1×");
        assert_eq!(speed(1.25), "1.25×");
        assert_eq!(speed(1.5), "1.5×");
    }

    #[test]
    fn a_resolution_is_named_by_its_short_side() {
        assert_eq!(resolution(1280, 720), "720p");
        assert_eq!(resolution(720, 1280), "720p");
        assert_eq!(resolution(3840, 1600), "4K");
        assert_eq!(resolution(0, 0), "");
    }
}
