//! Pins the bytes of every frame type: `tests/golden/NN_Name.hex` is what this version looks like on the wire.
//!
//! A change of any of these bytes is a new protocol version. `BLESS=1 cargo test -p shared --test wire_golden` writes the files anew;
//! read the difference before committing it. Random frames are the business of `wire_properties`.

mod samples;

use std::{env, fs, path::PathBuf};

use bytes::Bytes;
use shared::wire::{
    Frame, HandshakeMessage, LinkMessage, Names, PROTOCOL_VERSION, PeerMessage, TrackerMessage, decode,
    encode,
};

#[test]
fn every_frame_type_has_a_sample() {
    let registered =
        [HandshakeMessage::TYPES, LinkMessage::TYPES, TrackerMessage::TYPES, PeerMessage::TYPES].concat();
    let sampled: Vec<u8> = samples::frames().iter().map(|frame| frame.message.frame_type()).collect();
    assert_eq!(
        sampled, registered,
        "tests/samples needs one frame of every type, in the order of the registry"
    );
}

#[test]
fn every_frame_looks_on_the_wire_as_it_always_did() {
    for frame in samples::frames() {
        let path = golden_path(&frame);
        let encoded = encode(&frame);
        if env::var_os("BLESS").is_some() {
            fs::write(&path, to_hex(&encoded)).unwrap();
        }
        let golden =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("no vector {}: {error}", path.display()));
        assert_eq!(to_hex(&encoded), golden, "{} changed on the wire", frame.message.name());
        assert_eq!(decode(&Bytes::from(from_hex(&golden))), Ok(frame));
    }
}

/// Each line is a frame as one link carries it after those of the lines before, in the order of the registry.
#[test]
fn every_short_frame_looks_on_a_link_as_it_always_did() {
    let (mut shortens, mut lengthens) = (Names::default(), Names::default());
    let mut lines = String::new();
    for frame in samples::frames().iter().filter(|frame| frame.payload.is_empty()) {
        let long = encode(frame);
        let Some(short) = shortens.shorten(&long) else { continue };
        assert_eq!(lengthens.lengthen(&short).as_ref(), Ok(&long), "{}", frame.message.name());
        lines += &format!("{} {}\n", frame.message.name(), to_hex(&short).replace('\n', ""));
    }
    if env::var_os("BLESS").is_some() {
        fs::write(short_path(), &lines).unwrap();
    }
    assert_eq!(lines, fs::read_to_string(short_path()).expect("the vectors of short frames"));
}

#[test]
fn no_vector_is_left_over() {
    let expected: Vec<PathBuf> = samples::frames().iter().map(golden_path).chain([short_path()]).collect();
    for entry in fs::read_dir(golden_folder()).unwrap() {
        let path = entry.unwrap().path();
        assert!(expected.contains(&path), "{} belongs to no frame", path.display());
    }
}

#[test]
fn the_vectors_are_those_of_version_8() {
    assert_eq!(PROTOCOL_VERSION, 8, "a new version gets its own vectors");
}

fn golden_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn golden_path(frame: &Frame) -> PathBuf {
    golden_folder().join(format!("{:02x}_{}.hex", frame.message.frame_type(), frame.message.name()))
}

fn short_path() -> PathBuf {
    golden_folder().join("short_frames.txt")
}

/// Lower-case digits, 32 bytes a line: diffs stay readable.
fn to_hex(bytes: &[u8]) -> String {
    bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
