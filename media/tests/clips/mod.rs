//! Test clips, made by the `ffmpeg` command line and kept for the next run.
//!
//! Every clip has a picture whose frame number can be read back from its pixels ([`frame_number`]) or a sound whose
//! frequency is known. A clip is written under another name first, so that test processes may race for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Frames per second of every generated picture.
pub(crate) const FPS: u64 = 30;
/// Bits of the frame number painted into every frame.
const BITS: u32 = 12;

/// A clip of `seconds`, with a numbered picture and a 440 Hz tone, in whatever container the name's extension says.
pub(crate) fn clip(name: &str, seconds: u32) -> PathBuf {
    let video = numbered_picture(seconds);
    let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let pairs: &[&str] = &["-f", "lavfi", "-i", &video, "-f", "lavfi", "-i", &tone];
    let just_tone: &[&str] = &["-f", "lavfi", "-i", &tone];
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30", "-c:a", "aac"];
    let codecs: Vec<&str> = match name {
        n if n.ends_with("faststart.mp4") => [&h264[..], &["-movflags", "+faststart"]].concat(),
        n if n.ends_with("frag.mp4") => [&h264[..], &["-movflags", "+frag_keyframe+empty_moov"]].concat(),
        n if n.ends_with(".mkv") => [&h264[..8], &["-c:a", "flac"]].concat(),
        // MP3 in AVI shifts the picture by a frame, which is nothing to test a seek against.
        n if n.ends_with("pcm.avi") => vec!["-c:v", "mpeg4", "-q:v", "3", "-g", "30", "-c:a", "pcm_s16le"],
        n if n.ends_with(".avi") => vec!["-c:v", "mpeg4", "-q:v", "3", "-g", "30", "-c:a", "mp3"],
        n if n.ends_with("vp8.webm") => vec![
            "-c:v",
            "libvpx",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-g",
            "30",
            "-b:v",
            "1M",
            "-c:a",
            "libvorbis",
        ],
        n if n.ends_with(".webm") => vec![
            "-c:v",
            "libvpx-vp9",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
            "-g",
            "30",
            "-b:v",
            "1M",
            "-c:a",
            "libopus",
        ],
        n if n.ends_with(".ogg") => vec!["-c:a", "libvorbis"],
        n if n.ends_with(".opus") => vec!["-c:a", "libopus"],
        n if [".mp3", ".flac", ".wav", ".m4a", ".aac"].iter().any(|e| n.ends_with(e)) => vec![],
        _ => h264.to_vec(),
    };
    let audio_only =
        [".mp3", ".flac", ".ogg", ".opus", ".m4a", ".wav", ".aac"].iter().any(|e| name.ends_with(e));
    make(&format!("{seconds}s-{name}"), if audio_only { just_tone } else { pairs }, &codecs)
}

/// A flash of one white frame and a beep of the same length, each at every full second.
pub(crate) fn sync_clip(name: &str, seconds: u32) -> PathBuf {
    let flash =
        format!("color=black:s=320x180:r=30:d={seconds},drawbox=enable='lt(mod(n,30),1)':color=white:t=fill");
    let sound = if name.ends_with(".mov") { "pcm_s16le" } else { "flac" };
    let beep = format!("aevalsrc='if(lt(mod(t,1),1/30),0.8*sin(2*PI*1000*t),0)':s=48000:d={seconds}");
    make(
        &format!("sync-{seconds}s-{name}"),
        &["-f", "lavfi", "-i", &flash, "-f", "lavfi", "-i", &beep],
        &["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", sound, "-strict", "-2"],
    )
}

/// A numbered picture without sound.
pub(crate) fn silent_clip(name: &str, seconds: u32) -> PathBuf {
    let video = numbered_picture(seconds);
    make(
        &format!("silent-{seconds}s-{name}"),
        &["-f", "lavfi", "-i", &video],
        &["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30"],
    )
}

/// Clips that are unusual in one way each, with what makes them so.
pub(crate) fn odd_clip(what: &str) -> PathBuf {
    let video = numbered_picture(4);
    let picture = ["-f", "lavfi", "-i", video.as_str()];
    let tone = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=4"];
    let h264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30"];
    let (name, inputs, output): (&str, Vec<&str>, Vec<&str>) = match what {
        "b-frames" => (
            "bframes.mp4",
            [&picture[..], &tone].concat(),
            [&h264[..], &["-bf", "3", "-c:a", "aac"]].concat(),
        ),
        "ten bits" => {
            let codecs = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p10le", "-c:a", "aac"];
            ("ten.mkv", [&picture[..], &tone].concat(), codecs.to_vec())
        }
        "surround" => (
            "surround.mkv",
            [&picture[..], &tone].concat(),
            [&h264[..], &["-c:a", "ac3", "-ac", "6", "-b:a", "448k"]].concat(),
        ),
        "late sound" => (
            "late.mkv",
            [&picture[..], &["-itsoffset", "1.5"], &tone[..]].concat(),
            [&h264[..], &["-c:a", "flac", "-t", "4"]].concat(),
        ),
        "short sound" => (
            "short.mkv",
            [&picture[..], &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1"]]
                .concat(),
            [&h264[..], &["-c:a", "flac"]].concat(),
        ),
        "variable frame rate" => (
            "vfr.mkv",
            [&picture[..], &tone].concat(),
            [
                &h264[..],
                &["-vf", "select='not(mod(n,3))+lt(mod(n,30),10)'", "-fps_mode", "vfr", "-c:a", "flac"],
            ]
            .concat(),
        ),
        "two languages" => (
            "two.mkv",
            [&picture[..], &["-f", "lavfi", "-i", "sine=frequency=1000:duration=4"], &tone[..]].concat(),
            [
                &h264[..],
                &[
                    "-map",
                    "0",
                    "-map",
                    "1",
                    "-map",
                    "2",
                    "-c:a",
                    "flac",
                    "-disposition:a:0",
                    "0",
                    "-disposition:a:1",
                    "default",
                ],
            ]
            .concat(),
        ),
        "no layout" => (
            "plain.avi",
            [&picture[..], &tone].concat(),
            vec!["-c:v", "mpeg4", "-q:v", "3", "-c:a", "pcm_s16le", "-ac", "2"],
        ),
        unknown => panic!("no such clip: {unknown}"),
    };
    make(name, &inputs, &output)
}

/// Two copies of a numbered clip, as a phone on its side and a television would have made it.
pub(crate) fn reshaped_clip(rotated: bool) -> PathBuf {
    let plain = clip("a.mp4", 4);
    let input = ["-i", plain.to_str().unwrap()];
    if rotated {
        make("rotated.mp4", &input, &["-c", "copy", "-metadata:s:v", "rotate=90"])
    } else {
        make("wide.mp4", &input, &["-c", "copy", "-bsf:v", "h264_metadata=sample_aspect_ratio=2/1"])
    }
}

/// Ten seconds of silence, then as much of a tone.
pub(crate) fn half_silent(name: &str) -> PathBuf {
    let inputs = ["-f", "lavfi", "-i", "aevalsrc=exprs='if(lt(t,10),0,0.5*sin(2764*t))':d=20:s=48000"];
    make(&format!("half-{name}"), &inputs, &[])
}

/// A tagged tone with a square test picture as its cover.
pub(crate) fn covered_song(name: &str) -> PathBuf {
    let codecs: &[&str] = &[
        "-map",
        "0:a",
        "-map",
        "1:v",
        "-disposition:v",
        "attached_pic",
        "-c:v",
        "png",
        "-frames:v",
        "1",
        "-metadata",
        "title=Käse",
        "-metadata",
        "artist=Die Band",
        "-metadata",
        "album=Alles",
    ];
    let inputs = [
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:duration=3",
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=300x300:d=1:r=1",
    ];
    make(&format!("cover-{name}"), &inputs, codecs)
}

/// Runs `ffmpeg` unless the clip is there already.
pub(crate) fn make(name: &str, inputs: &[&str], output: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clips-1");
    let path = dir.join(name);
    if path.exists() {
        return path;
    }
    std::fs::create_dir_all(&dir).unwrap();
    let partial = dir.join(format!("{}-{name}", std::process::id()));
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(inputs)
        .args(output)
        .arg(&partial)
        .stdin(Stdio::null())
        .status()
        .expect("the tests need the ffmpeg command");
    assert!(status.success(), "ffmpeg could not make {name}");
    std::fs::rename(&partial, &path).unwrap();
    path
}

/// Reads the painted frame number back from a 320x180 picture.
pub(crate) fn frame_number(rgba: &[u8], width: u32, height: u32) -> u64 {
    assert_eq!((width, height), (320, 180));
    (0..BITS).map(|bit| u64::from(rgba[((18 * width + bit * 24 + 18) * 4 + 1) as usize] > 127) << bit).sum()
}

fn numbered_picture(seconds: u32) -> String {
    let boxes: Vec<String> = (0..BITS)
        .map(|bit| {
            let x = bit * 24 + 8;
            format!("drawbox=x={x}:y=8:w=20:h=20:color=white:t=fill:enable='mod(floor(n/pow(2,{bit})),2)'")
        })
        .collect();
    format!("color=0x203040:s=320x180:r={FPS}:d={seconds},{}", boxes.join(","))
}
