//! What holds for every frame and for every input, checked on random ones: round trips, refusals, no panic.
//!
//! Bytes of particular frames are pinned by `wire_golden`, memory by `wire_allocation`.

mod arbitrary;
mod samples;

use arbitrary::{any_frame, any_handshake};
use bytes::Bytes;
use proptest::prelude::*;
use shared::{
    ContentId, LeafRange,
    limits::{
        HEADER_BYTES, MAX_BODY_BYTES, MAX_CONTENT_BYTES, MAX_FRAME_BYTES, MAX_GREETING_CHARS,
        MAX_HAVE_RANGES, MAX_REQUEST_BATCH, MAX_WAVEFORM,
    },
    wire::{
        BodyError, Cancel, DecodeError, FileEntry, Frame, GreetingError, Have, Hints, MAX_NAMED, Message,
        Names, Open, PeerMessage, TrackerMessage, decode, decode_greeting, encode, encode_greeting,
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
    fn frames_survive_a_link_that_shortens_them(frames in prop::collection::vec((any_frame(), any::<bool>()), 0..40)) {
        let (mut sender, mut receiver) = (Names::default(), Names::default());
        // Each is said twice: what it names is known the second time.
        for (frame, goes_short) in frames.iter().chain(&frames) {
            let plain = encode(frame);
            let short = if *goes_short && frame.payload.is_empty() { sender.shorten(&plain) } else { None };
            prop_assert!(short.as_ref().is_none_or(|short| short.len() + 6 <= plain.len()));
            prop_assert_eq!(receiver.lengthen(&short.unwrap_or_else(|| plain.clone())), Ok(plain));
        }
    }

    #[test]
    fn arbitrary_messages_are_lengthened_or_refused(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20)) {
        let mut names = Names::default();
        for message in messages {
            if let Ok(frame) = names.lengthen(&message.into()) {
                accepted_frames_can_be_sent_on(frame)?;
            }
        }
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

#[test]
fn a_content_is_spelled_out_once_and_then_named() {
    let (mut sender, mut receiver) = (Names::default(), Names::default());
    let open = |n: u32| encode(&Open { content_id: content_id(n) }.into());
    let lengths = |names: &mut Names, n| names.shorten(&open(n)).map(|short| short.len());
    assert_eq!(lengths(&mut sender, 0), Some(2 + 32));
    assert_eq!(lengths(&mut sender, 0), Some(2));
    for n in 1..=MAX_NAMED as u32 {
        assert_eq!(lengths(&mut sender, n), Some(2 + 32));
    }
    assert_eq!(lengths(&mut sender, MAX_NAMED as u32 - 1), Some(2), "the last that got a number");
    assert_eq!(lengths(&mut sender, MAX_NAMED as u32), Some(2 + 32), "one too many");
    let named = Bytes::from_static(&[0x40 | 0x80, 1]);
    assert_eq!(receiver.lengthen(&named), Err(DecodeError::UnknownName(1)));
    assert!(receiver.lengthen(&Names::default().shorten(&open(7)).expect("short")).is_ok());
    assert_eq!(receiver.lengthen(&named), Ok(open(7)));
    let of_no_content = Bytes::from_static(&[0x44 | 0x80, 1]);
    assert_eq!(receiver.lengthen(&of_no_content), Err(DecodeError::UnknownName(1)));
    assert_eq!(receiver.lengthen(&Bytes::from_static(&[0xc0])), Err(DecodeError::Truncated));
}

#[test]
fn every_frame_that_is_said_to_begin_with_a_content_does() {
    for frame in samples::frames() {
        let encoded = encode(&frame);
        let begins = encoded[HEADER_BYTES..].starts_with(samples::CONTENT.as_bytes());
        let frame_type = frame.message.frame_type();
        assert_eq!(
            PeerMessage::OF_A_CONTENT.contains(&frame_type),
            begins && PeerMessage::TYPES.contains(&frame_type)
        );
    }
}

fn content_id(n: u32) -> ContentId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    ContentId(id)
}
