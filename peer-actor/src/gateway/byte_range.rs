//! What a `Range` header asks of a content of known size, by RFC 9110 section 14. Pure.
//!
//! Invariant: every range in an answer is non-empty, lies within the content, and the ranges of one answer neither touch nor
//! overlap, so that no request makes the gateway send a byte twice. Conditions (`If-Range`, `If-None-Match`) are judged here
//! too, since they decide whether a range is looked at.

use shared::ByteRange;

/// What to send for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeAnswer {
    /// The whole content: no range was asked for, or the header is to be ignored.
    Whole,
    /// One part, `206` with `Content-Range`.
    Single(ByteRange),
    /// Several parts in the order asked for, `206` as `multipart/byteranges`.
    Multiple(Vec<ByteRange>),
    /// Nothing that was asked for exists, `416`.
    Unsatisfiable,
}

/// More parts than any player asks for; beyond it the answer is the whole content, as the RFC allows.
pub const MAX_PARTS: usize = 64;

/// Resolves a `Range` header against a content of `size_bytes`.
///
/// A header that is not understood is ignored, as the RFC demands; one that is understood and names nothing that exists is
/// unsatisfiable.
pub fn resolve(header: Option<&str>, size_bytes: u64) -> RangeAnswer {
    let Some(asked) = header.and_then(parse) else {
        return RangeAnswer::Whole;
    };
    let ranges = coalesce(asked.into_iter().filter_map(|spec| spec.within(size_bytes)));
    match ranges.as_slice() {
        [] => RangeAnswer::Unsatisfiable,
        [only] => RangeAnswer::Single(only.clone()),
        _ => RangeAnswer::Multiple(ranges),
    }
}

/// Whether `If-Range` lets the range count. Absent it does; a date never does, since contents carry no date.
pub fn if_range_holds(header: Option<&str>, etag: &str) -> bool {
    header.is_none_or(|validator| validator.trim() == etag)
}

/// Whether an `If-None-Match` or `If-Match` list names `etag`. Ids name bytes, so a weak mark changes nothing.
pub fn names_etag(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.trim_start_matches("W/") == etag)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// `first-last`, both included; open when there is no last.
    From { first: u64, last: u64 },
    /// `-length`: that many bytes from the end.
    Suffix(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first.trim_end(), last.trim_start()) {
            ("", length) => Some(Self::Suffix(number(length)?)),
            (first, "") => Some(Self::From { first: number(first)?, last: u64::MAX }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    fn within(self, size_bytes: u64) -> Option<ByteRange> {
        let range = match self {
            Self::From { first, last } => first..last.saturating_add(1).min(size_bytes),
            Self::Suffix(length) => size_bytes.saturating_sub(length)..size_bytes,
        };
        (range.start < range.end).then_some(range)
    }
}

/// The specs of a header, or none when it is not a well-formed range in bytes.
fn parse(header: &str) -> Option<Vec<Spec>> {
    let (unit, list) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let elements: Vec<&str> = list.split(',').map(str::trim).filter(|element| !element.is_empty()).collect();
    if elements.is_empty() || elements.len() > MAX_PARTS {
        return None;
    }
    elements.into_iter().map(Spec::parse).collect()
}

/// Decimal digits only; a number beyond u64 is beyond every content, so it saturates.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Joins what touches or overlaps, at the place of the earliest asked.
fn coalesce(asked: impl Iterator<Item = ByteRange>) -> Vec<ByteRange> {
    let mut ranges: Vec<ByteRange> = Vec::new();
    for mut range in asked {
        let mut place = ranges.len();
        let mut index = 0;
        while index < ranges.len() {
            if ranges[index].start <= range.end && range.start <= ranges[index].end {
                let joined = ranges.remove(index);
                range = range.start.min(joined.start)..range.end.max(joined.end);
                place = place.min(index);
            } else {
                index += 1;
            }
        }
        ranges.insert(place.min(ranges.len()), range);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        assert_eq!(resolve(Some("bytes=0-499"), 10_000), RangeAnswer::Single(0..500));
        assert_eq!(resolve(Some("bytes=500-999"), 10_000), RangeAnswer::Single(500..1000));
        assert_eq!(resolve(Some("bytes=-500"), 10_000), RangeAnswer::Single(9500..10_000));
        assert_eq!(resolve(Some("bytes=9500-"), 10_000), RangeAnswer::Single(9500..10_000));
        assert_eq!(resolve(Some("bytes=0-0,-1"), 10_000), RangeAnswer::Multiple(vec![0..1, 9999..10_000]));
        assert_eq!(resolve(Some("bytes= 0-0, -1"), 10_000), RangeAnswer::Multiple(vec![0..1, 9999..10_000]));
        assert_eq!(resolve(Some("bytes=500-700,601-999"), 10_000), RangeAnswer::Single(500..1000));
    }

    #[test]
    fn a_range_beyond_the_end_is_clamped_or_unsatisfiable() {
        assert_eq!(resolve(Some("bytes=90-1000"), 100), RangeAnswer::Single(90..100));
        assert_eq!(resolve(Some("bytes=-1000"), 100), RangeAnswer::Single(0..100));
        assert_eq!(resolve(Some("bytes=99-"), 100), RangeAnswer::Single(99..100));
        assert_eq!(resolve(Some("bytes=100-"), 100), RangeAnswer::Unsatisfiable);
        assert_eq!(resolve(Some("bytes=-0"), 100), RangeAnswer::Unsatisfiable);
        assert_eq!(resolve(Some("bytes=100-200,-0"), 100), RangeAnswer::Unsatisfiable);
        assert_eq!(resolve(Some("bytes=0-"), 0), RangeAnswer::Unsatisfiable);
    }

    #[test]
    fn one_satisfiable_part_of_several_is_a_single_answer() {
        assert_eq!(resolve(Some("bytes=5-9,200-"), 100), RangeAnswer::Single(5..10));
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "items=0-1",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=-",
        ] {
            assert_eq!(resolve(Some(header), 100), RangeAnswer::Whole, "{header}");
        }
        assert_eq!(resolve(None, 100), RangeAnswer::Whole);
        let many = format!("bytes={}", "0-0,".repeat(MAX_PARTS + 1));
        assert_eq!(resolve(Some(&many), 100), RangeAnswer::Whole);
    }

    #[test]
    fn numbers_beyond_every_content_saturate() {
        assert_eq!(resolve(Some("bytes=1-99999999999999999999999"), 100), RangeAnswer::Single(1..100));
        assert_eq!(resolve(Some("bytes=99999999999999999999999-"), 100), RangeAnswer::Unsatisfiable);
    }

    #[test]
    fn the_order_asked_for_is_kept() {
        assert_eq!(resolve(Some("bytes=50-59,0-9"), 100), RangeAnswer::Multiple(vec![50..60, 0..10]));
        assert_eq!(
            resolve(Some("bytes=50-59,0-9,20-29,10-19"), 100),
            RangeAnswer::Multiple(vec![50..60, 0..30])
        );
    }

    #[test]
    fn conditions_compare_whole_tags() {
        assert!(if_range_holds(None, "\"a\""));
        assert!(if_range_holds(Some("\"a\""), "\"a\""));
        assert!(!if_range_holds(Some("W/\"a\""), "\"a\""));
        assert!(!if_range_holds(Some("Wed, 21 Oct 2015 07:28:00 GMT"), "\"a\""));
        assert!(names_etag("\"b\", W/\"a\"", "\"a\"") && names_etag("*", "\"a\""));
        assert!(!names_etag("\"ab\"", "\"a\""));
    }

    proptest! {
        #[test]
        fn any_header_gets_ranges_that_exist_and_do_not_meet(header in "(bytes=)?[-0-9, =a-z]{0,60}", size in 0u64..2000) {
            check(&resolve(Some(&header), size), size)?;
        }

        #[test]
        fn every_byte_asked_for_is_in_the_answer_and_no_other(
            specs in prop::collection::vec((0u64..60, prop::option::of(0u64..60)), 1..8), size in 1u64..50,
        ) {
            let list: Vec<String> = specs.iter().map(|(first, extra)| match extra {
                Some(extra) => format!("{first}-{}", first + extra),
                None => format!("{first}-"),
            }).collect();
            let wanted: Vec<u64> = (0..size)
                .filter(|byte| specs.iter().any(|(first, extra)| byte >= first && extra.is_none_or(|extra| *byte <= first + extra)))
                .collect();
            let answer = resolve(Some(&format!("bytes={}", list.join(","))), size);
            check(&answer, size)?;
            let mut sent: Vec<u64> = ranges(&answer).into_iter().flatten().collect();
            sent.sort_unstable();
            prop_assert_eq!(sent, wanted);
        }
    }

    fn check(answer: &RangeAnswer, size: u64) -> Result<(), TestCaseError> {
        let mut parts = ranges(answer);
        parts.sort_by_key(|range| range.start);
        prop_assert!(parts.iter().all(|range| range.start < range.end && range.end <= size));
        prop_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert!(!matches!(answer, RangeAnswer::Multiple(parts) if parts.len() < 2));
        Ok(())
    }

    fn ranges(answer: &RangeAnswer) -> Vec<ByteRange> {
        match answer {
            RangeAnswer::Whole | RangeAnswer::Unsatisfiable => Vec::new(),
            RangeAnswer::Single(range) => vec![range.clone()],
            RangeAnswer::Multiple(ranges) => ranges.clone(),
        }
    }
}
