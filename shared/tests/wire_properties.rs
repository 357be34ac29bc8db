//! What holds for every frame and for every input, checked on random ones: round trips, refusals, no panic.
//!
//! Bytes of particular frames are pinned by `wire_golden`, memory by `wire_allocation`.

mod arbitrary;
mod samples;

use arbitrary::{any_frame, any_handshake};
use bytes::Bytes;
use proptest::prelude::*;
use shared::{
    LeafRange,
    limits::{
        HEADER_BYTES, MAX_BODY_BYTES, MAX_CONTENT_BYTES, MAX_FRAME_BYTES, MAX_GREETING_CHARS,
        MAX_HAVE_RANGES, MAX_REQUEST_BATCH, MAX_WAVEFORM,
    },
    wire::{
        BodyError, Cancel, DecodeError, FileEntry, Frame, GreetingError, Have, Hints, Message,
        TrackerMessage, decode, decode_greeting, encode, encode_greeting,
    },
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_frame_survives_the_wire(frame in any_frame()) {
        let bytes = encode(&frame);
        prop_assert!(bytes.len() <= MAX_FRAME_BYTES);
        prop_assert_eq!(decode(&bytes), Ok(frame));
    }

    #[test]
    fn a_greeting_survives_its_header(frame in any_handshake()) {
        let Message::Handshake(greeting) = frame.message else { panic!("a frame of the handshake") };
        let value = encode_greeting(&greeting);
        prop_assert!(value.len() <= MAX_GREETING_CHARS, "{} characters", value.len());
        prop_assert!(value.bytes().all(|character| character.is_ascii_graphic()));
        prop_assert_eq!(decode_greeting(value.as_bytes()), Ok(greeting));
    }

    #[test]
    fn an_arbitrary_header_is_a_greeting_or_an_error(value in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(decode_greeting(&value).is_err() || value.len() <= MAX_GREETING_CHARS);
    }

    #[test]
    fn arbitrary_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        accepted_frames_can_be_sent_on(bytes.into())?;
    }

    #[test]
    fn an_arbitrary_body_of_any_type_is_a_frame_or_an_error(
        frame_type in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        accepted_frames_can_be_sent_on(framed(frame_type, &body))?;
    }

    #[test]
    fn a_mutated_frame_is_a_valid_frame_or_an_error(
        frame in any_frame(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&frame).to_vec();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        accepted_frames_can_be_sent_on(bytes.into())?;
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused(frame in any_frame(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&frame);
        let cut = bytes.slice(..cut.index(bytes.len()));
        match decode(&cut) {
            Err(_) => {}
            // Only a payload may be shorter, and only within its last leaf.
            Ok(shorter) => prop_assert!(!frame.payload.is_empty() && shorter.payload.len() < frame.payload.len()),
        }
    }

    #[test]
    fn bytes_after_a_frame_are_refused(frame in any_frame(), extra in 1usize..100) {
        prop_assume!(frame.payload.is_empty());
        let mut bytes = encode(&frame).to_vec();
        bytes.resize(bytes.len() + extra, 0);
        prop_assert_eq!(decode(&Bytes::from(bytes)), Err(DecodeError::Payload(frame.message.frame_type())));
    }

    #[test]
    fn bytes_left_over_in_a_body_are_refused(frame in any_frame(), extra in 1usize..100) {
        let mut body = body_of(&frame);
        body.resize(body.len() + extra, 0);
        let frame_type = frame.message.frame_type();
        let source = BodyError::Trailing(extra);
        prop_assert_eq!(decode(&framed(frame_type, &body)), Err(DecodeError::Body { frame_type, source }));
    }
}

#[test]
fn reserved_header_bytes_must_be_zero() {
    for reserved in 1..4 {
        let mut bytes = encode(&samples::frames()[0]).to_vec();
        bytes[reserved] = 1;
        assert_eq!(decode(&Bytes::from(bytes)), Err(DecodeError::Reserved));
    }
}

#[test]
fn an_unknown_type_and_an_overlong_message_are_refused() {
    assert_eq!(decode(&framed(0xff, &[])), Err(DecodeError::UnknownType(0xff)));
    let overlong = Bytes::from(vec![0; MAX_FRAME_BYTES + 1]);
    assert_eq!(decode(&overlong), Err(DecodeError::TooLong(MAX_FRAME_BYTES + 1)));
    let long_body = framed(0x10, &vec![0; MAX_BODY_BYTES + 1]);
    assert_eq!(decode(&long_body), Err(DecodeError::Body { frame_type: 0x10, source: BodyError::Encoding }));
}

#[test]
fn lists_beyond_their_limit_are_refused() {
    let have = |count| Have { ranges: vec![LeafRange::new(0, 1); count], ..small_have() };
    assert!(decode(&encode(&have(MAX_HAVE_RANGES).into())).is_ok());
    assert!(decode(&encode(&have(MAX_HAVE_RANGES + 1).into())).is_err());
    let cancel = |count| Cancel { ids: vec![7; count], confirm: false };
    assert!(decode(&encode(&cancel(MAX_REQUEST_BATCH).into())).is_ok());
    assert!(decode(&encode(&cancel(MAX_REQUEST_BATCH + 1).into())).is_err());
    assert!(decode(&encode(&cancel(0).into())).is_err());
}

#[test]
fn a_have_beyond_its_content_or_of_nothing_is_refused() {
    for (first, count) in [(9, 2), (0, 0), (u32::MAX, 1), (1, u32::MAX)] {
        assert_refused(Have { ranges: vec![LeafRange::new(first, count)], ..small_have() }, "ranges");
    }
    assert_refused(Have { complete: true, ranges: vec![LeafRange::new(0, 1)], ..small_have() }, "ranges");
    for size_bytes in [0, MAX_CONTENT_BYTES + 1] {
        assert_refused(Have { size_bytes, ..small_have() }, "size_bytes");
    }
}

#[test]
fn a_name_that_is_no_file_name_is_refused() {
    let file = sample_file();
    assert!(file.is_valid());
    for name in ["", ".", "..", "a/b", "..\\b", "a\nb", "\u{1b}[2J", &"x".repeat(256)] {
        assert!(!FileEntry { name: name.to_owned(), ..file.clone() }.is_valid(), "{name:?}");
    }
}

#[test]
fn hints_that_go_back_in_time_or_beyond_any_content_are_refused() {
    for time_index in [vec![(5, 0), (5, 9)], vec![(5, 9), (6, 8)]] {
        assert!(!Hints { time_index, ..Hints::default() }.is_valid());
    }
    assert!(!Hints { startup_ranges: vec![(u64::MAX, 2)], ..Hints::default() }.is_valid());
    assert!(Hints { waveform: vec![9; MAX_WAVEFORM], ..Hints::default() }.is_valid());
    assert!(!Hints { waveform: vec![9; MAX_WAVEFORM + 1], ..Hints::default() }.is_valid());
}

#[test]
fn a_header_that_is_no_greeting_says_why() {
    let too_long = "A".repeat(MAX_GREETING_CHARS + 1);
    assert_eq!(decode_greeting(too_long.as_bytes()), Err(GreetingError::TooLong(MAX_GREETING_CHARS + 1)));
    assert_eq!(decode_greeting(b"not base64!"), Err(GreetingError::Encoding));
    assert_eq!(decode_greeting(b""), Err(GreetingError::Frame(DecodeError::Truncated)));
    // A ping, whole and well formed.
    assert_eq!(decode_greeting(b"EAAAAAEAAAAH"), Err(GreetingError::Conversation("Ping")));
}

/// Whatever the input, it is an error or a frame within every bound.
fn accepted_frames_can_be_sent_on(bytes: Bytes) -> Result<(), TestCaseError> {
    if let Ok(decoded) = decode(&bytes) {
        prop_assert_eq!(decode(&encode(&decoded)), Ok(decoded));
    }
    Ok(())
}

fn small_have() -> Have {
    Have {
        content_id: shared::ContentId([1; 32]),
        size_bytes: 10 * 16 * 1024,
        reset: false,
        complete: false,
        ranges: Vec::new(),
        backlog_ms: 0,
    }
}

fn sample_file() -> FileEntry {
    samples::frames()
        .into_iter()
        .find_map(|frame| {
            let Message::Tracker(TrackerMessage::FilesDelta(mut delta)) = frame.message else { return None };
            delta.changed.pop()
        })
        .expect("a delta with a file")
}

fn assert_refused(have: Have, field: &'static str) {
    let expected = DecodeError::Body { frame_type: 0x42, source: BodyError::OutOfBounds(field) };
    assert_eq!(decode(&encode(&have.into())), Err(expected));
}

fn body_of(frame: &Frame) -> Vec<u8> {
    let bytes = encode(frame);
    bytes[HEADER_BYTES..bytes.len() - frame.payload.len()].to_vec()
}

fn framed(frame_type: u8, body: &[u8]) -> Bytes {
    let header = [frame_type, 0, 0, 0].into_iter().chain((body.len() as u32).to_le_bytes());
    header.chain(body.iter().copied()).collect()
}
