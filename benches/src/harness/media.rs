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
