//! Plays a file without a window and says once a second how it goes: `play_file FILE [null|WAV] [SECONDS]`.
#![allow(clippy::print_stdout, reason = "it is what the program is for")]

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use media::{FileSource, OutputChoice, Player, PlayerOptions, PlayerState};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: play_file FILE [null|WAV] [SECONDS]")?;
    let output = match arguments.get(1).map(String::as_str) {
        None | Some("auto") => OutputChoice::Auto,
        Some("null") => OutputChoice::Null,
        Some(wav) => OutputChoice::Capture(wav.into()),
    };
    let seconds: u64 = arguments.get(2).map_or(Ok(u64::MAX), |seconds| seconds.parse())?;
    let begun = Instant::now();
    let source = Arc::new(FileSource::open(Path::new(path))?);
    let player = Player::open(source, path, PlayerOptions { output, ..Default::default() });
    while player.frame(0).is_none() && player.snapshot().position_ms == 0 && begun.elapsed().as_secs() < 10 {
        thread::sleep(Duration::from_millis(1));
    }
    println!("first frame or sound after {:?}", begun.elapsed());
    while begun.elapsed().as_secs() < seconds {
        thread::sleep(Duration::from_secs(1));
        let now = player.snapshot();
        println!(
            "{:6.2} s  {:?} at {} of {} ms through {}: shown {}, dropped {}, underruns {}, picture {} ms late",
            begun.elapsed().as_secs_f32(),
            now.state,
            now.position_ms,
            now.duration_ms,
            now.output,
            now.frames_shown,
            now.frames_dropped,
            now.audio_underruns,
            now.av_offset_ms,
        );
        if matches!(now.state, PlayerState::Ended | PlayerState::Failed) {
            return now.error.map_or(Ok(()), |error| Err(error.into()));
        }
    }
    Ok(())
}
