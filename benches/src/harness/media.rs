//! Clips made by ffmpeg's own sources, once per machine and then kept beside the build.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// Every container the media pipeline promises, as `(file name, kind, encoder options)`.
pub const CONTAINERS: [(&str, &str, &[&str]); 13] = [
    ("tail.mp4", "video", &["-c:v", "libx264", "-c:a", "aac"]),
    ("faststart.mp4", "video", &["-c:v", "libx264", "-c:a", "aac", "-movflags", "+faststart"]),
    ("clip.mov", "video", &["-c:v", "libx264", "-c:a", "aac"]),
    ("clip.mkv", "video", &["-c:v", "libx264", "-c:a", "flac"]),
    (
        "clip.webm",
        "video",
        &["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "900k", "-c:a", "libopus"],
    ),
    ("clip.ts", "video", &["-c:v", "libx264", "-c:a", "aac"]),
    ("clip.avi", "video", &["-c:v", "mpeg4", "-b:v", "900k", "-c:a", "libmp3lame"]),
    ("clip.mp3", "audio", &["-c:a", "libmp3lame"]),
    ("clip.flac", "audio", &["-c:a", "flac"]),
    ("clip.ogg", "audio", &["-c:a", "libvorbis"]),
    ("clip.opus", "audio", &["-c:a", "libopus", "-b:a", "128k"]),
    ("clip.m4a", "audio", &["-c:a", "aac"]),
    ("clip.wav", "audio", &["-c:a", "pcm_s16le"]),
];

/// Bits of the number in a frame.
const NUMBER_BITS: usize = 12;
/// From one bit's square to the next, in pixels.
const NUMBER_STEP: usize = 48;

/// A clip of one of [`CONTAINERS`], ten seconds long.
pub fn clip(name: &str) -> Result<PathBuf> {
    let (_, kind, options) = CONTAINERS.iter().find(|(file, ..)| *file == name).context("no such clip")?;
    make(name, |out| {
        let mut command = ffmpeg();
        if *kind == "video" {
            command.args(["-f", "lavfi", "-i", "testsrc2=s=480x270:r=25:d=10"]);
        }
        command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=10"]);
        command.args(
            ["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "25", "-ac", "2"]
                .iter()
                .filter(|_| *kind == "video"),
        );
        command.args(*options).arg(out);
        command
    })
}

/// A film of `seconds` at nearly constant `kbps`, so that bytes and time are proportional.
pub fn film(seconds: u32, kbps: u32) -> Result<PathBuf> {
    make(&format!("film-{seconds}s-{kbps}k.ts"), |out| {
        let mut command = ffmpeg();
        command.args([
            "-f",
            "lavfi",
            "-i",
            &format!("testsrc2=s=640x360:r=25:d={seconds},noise=alls=20:allf=t"),
        ]);
        command.args([
            "-f",
            "lavfi",
            "-i",
            &format!("sine=frequency=330:sample_rate=48000:duration={seconds}"),
        ]);
        let rate = format!("{kbps}k");
        command.args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "25",
            "-c:a",
            "aac",
        ]);
        command.args([
            "-b:v",
            &rate,
            "-minrate",
            &rate,
            "-maxrate",
            &rate,
            "-bufsize",
            &rate,
            "-x264-params",
            "nal-hrd=cbr",
        ]);
        command.arg(out);
        command
    })
}

/// Frames per second of every numbered film.
pub const NUMBERED_FPS: u64 = 30;
/// The tone of every numbered film, in hertz.
pub const TONE_HZ: f64 = 440.0;

/// What is to be heard in a numbered film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sound {
    /// One uninterrupted tone of [`TONE_HZ`].
    Tone,
    /// A beep of a thirtieth of a second at every full second, together with the picture's flash.
    Beeps,
}

/// A film whose every frame says its number in twelve white or black squares, and which flashes at every full second.
///
/// Below the numbers is noise enough for about 3 Mb/s, so that the film takes its time to arrive. The name's ending chooses the
/// container; an MP4 has its index at the end.
pub fn numbered(ending: &str, seconds: u32, sound: Sound) -> Result<PathBuf> {
    let squares: String = (0..NUMBER_BITS)
        .map(|bit| {
            let x = NUMBER_STEP * bit + 16;
            format!(",drawbox=x={x}:y=16:w=40:h=40:color=white:t=fill:enable='mod(floor(n/pow(2,{bit})),2)'")
        })
        .collect();
    let picture = format!(
        "testsrc2=s=640x360:r={NUMBERED_FPS}:d={seconds},noise=alls=20:allf=t,drawbox=x=0:y=0:w=640:h=120:color=black:t=fill{squares},\
         drawbox=x=0:y=64:w=640:h=48:color=white:t=fill:enable='lt(mod(n,{NUMBERED_FPS}),1)'"
    );
    let heard = match sound {
        Sound::Tone => format!("sine=frequency={TONE_HZ}:sample_rate=48000:duration={seconds}"),
        Sound::Beeps => {
            format!("aevalsrc='if(lt(mod(t,1),1/30),0.8*sin(2*PI*1000*t),0)':s=48000:d={seconds}")
        }
    };
    // Two B-frames: what is decoded out of order has to be shown in order.
    let h264 = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-b:v",
        "3M",
        "-maxrate",
        "3M",
        "-bufsize",
        "1M",
    ];
    let vp8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "3M"];
    let codecs: Vec<&str> = match (ending, sound) {
        ("webm", _) => [&vp8[..], &["-c:a", "libopus"]].concat(),
        // AVI knows no presentation times: pictures are stored in the order in which they are shown.
        ("avi", _) => vec!["-c:v", "mpeg4", "-b:v", "3M", "-c:a", "libmp3lame"],
        ("mkv", Sound::Beeps) => [&h264[..], &["-c:a", "flac"]].concat(),
        _ => [&h264[..], &["-c:a", "aac"]].concat(),
    };
    make(&format!("numbered-{seconds}s-{sound:?}.{ending}"), |out| {
        let mut command = ffmpeg();
        command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &heard]);
        command.args(["-pix_fmt", "yuv420p", "-g", "30"]).args(codecs).arg(out);
        command
    })
}

/// The number a frame of a numbered film says, and whether it is a flash; `rgba` is a picture of 640 by 360.
pub fn read_number(rgba: &[u8]) -> (u64, bool) {
    let is_white = |x: usize, y: usize| rgba.get((y * 640 + x) * 4 + 1).is_some_and(|green| *green > 127);
    let number = (0..NUMBER_BITS).map(|bit| u64::from(is_white(NUMBER_STEP * bit + 36, 36)) << bit).sum();
    (number, is_white(320, 88))
}

/// The BLAKE3 hash of a file in hexadecimal: its content id.
pub fn content_id(path: &Path) -> Result<String> {
    Ok(blake3::hash(&fs::read(path)?).to_hex().to_string())
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    command
}

/// Makes a file unless it is there; several tests may ask at the same time.
fn make(name: &str, command: impl FnOnce(&Path) -> Command) -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder =
        test.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?.join("scenario-media");
    fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    let lock = File::create(folder.join(format!("{name}.lock")))?;
    lock.lock()?;
    if !path.exists() {
        let building = folder.join(format!("building-{name}"));
        let status = command(&building).status().context("ffmpeg is not installed; run scripts/setup.sh")?;
        ensure!(status.success(), "ffmpeg could not make {name}");
        fs::rename(&building, &path)?;
    }
    Ok(path)
}
