//! The player on real clips, mostly in virtual time: nothing there can be late by accident.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod clips;
mod rig;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use media::{FileSource, OutputChoice, Player, PlayerOptions, PlayerState};
use rig::{GatedSource, Run};

/// How far a frame and its sound may be apart.
const LIP_SYNC_MS: f64 = 40.0;

#[test]
fn every_video_container_shows_every_frame_once_with_the_right_tone() {
    for name in
        ["a.mp4", "faststart.mp4", "frag.mp4", "a.mov", "a.mkv", "vp8.webm", "vp9.webm", "a.ts", "a.avi"]
    {
        let run = Run::play(&clips::clip(name, 4));
        assert_eq!(run.numbers, (0..120).collect::<Vec<_>>(), "{name}");
        assert_eq!(run.last.frames_dropped, 0, "{name}");
        assert_eq!(run.last.audio_underruns, 0, "{name}");
        assert_eq!((run.last.stalls, run.last.frames_shown), (0, 120), "{name}");
        assert!(run.last.duration_ms.abs_diff(4000) <= 100, "{name}: {}", run.last.duration_ms);
        run.assert_tone(440.0, 4.0, name);
    }
}

#[test]
fn every_audio_container_plays_its_tone_to_the_end() {
    for name in ["a.mp3", "a.flac", "a.ogg", "a.opus", "a.m4a", "a.wav", "a.aac"] {
        let run = Run::play(&clips::clip(name, 7));
        assert!(run.last.has_audio && !run.last.has_video, "{name}");
        assert_eq!(run.last.audio_underruns, 0, "{name}");
        run.assert_tone(440.0, 7.0, name);
    }
}

#[test]
fn unusual_files_play_like_any_other() {
    for what in ["b-frames", "ten bits", "surround", "no layout", "two languages"] {
        let run = Run::play(&clips::odd_clip(what));
        assert_eq!(run.numbers, (0..120).collect::<Vec<_>>(), "{what}");
        assert_eq!((run.last.frames_dropped, run.last.audio_underruns), (0, 0), "{what}");
        run.assert_tone(440.0, 4.0, what);
    }
}

#[test]
fn sound_that_starts_late_or_ends_early_leaves_the_picture_alone() {
    let late = Run::play(&clips::odd_clip("late sound"));
    assert_eq!(late.numbers, (0..120).collect::<Vec<_>>());
    late.assert_tone(440.0, 2.5, "late sound");
    let short = Run::play(&clips::odd_clip("short sound"));
    assert_eq!(short.numbers, (0..120).collect::<Vec<_>>());
    short.assert_tone(440.0, 1.0, "short sound");
    for line in &short.log {
        assert!((line.clock_ms - line.pts_ms).abs() <= 10.0, "{line:?}");
    }
}

#[test]
fn a_variable_frame_rate_shows_each_frame_at_its_own_time() {
    let run = Run::play(&clips::odd_clip("variable frame rate"));
    let expected: Vec<u64> = (0..120).filter(|n| n % 3 == 0 || n % 30 < 10).collect();
    assert_eq!(run.numbers, expected);
    for (number, line) in run.numbers.iter().zip(&run.log) {
        let at_ms = *number as f64 * 1000.0 / clips::FPS as f64;
        assert!((line.pts_ms - at_ms).abs() < 1.0 && (line.clock_ms - at_ms).abs() < 10.0, "{line:?}");
    }
}

#[test]
fn rotation_and_pixel_shape_are_honoured() {
    for (rotated, size) in [(true, (180, 320)), (false, (640, 180))] {
        let path = clips::reshaped_clip(rotated);
        let options = PlayerOptions { output: OutputChoice::Null, start_paused: true, ..Default::default() };
        let player = Player::open(Arc::new(FileSource::open(&path).unwrap()), "a.mp4", options);
        let begun = Instant::now();
        let frame = loop {
            if let Some(frame) = player.frame(0) {
                break frame;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{player:?}");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert_eq!((frame.width, frame.height), size);
        assert_eq!(frame.rgba.len(), (size.0 * size.1 * 4) as usize);
        assert_eq!((player.snapshot().width, player.snapshot().height), size);
    }
}

#[test]
fn damaged_files_end_or_fail_but_never_hang() {
    for (name, seconds) in [("a.mp4", 4), ("a.mkv", 4), ("a.ts", 4), ("a.avi", 4), ("a.mp3", 7), ("a.ogg", 7)]
    {
        let whole = fs::read(clips::clip(name, seconds)).unwrap();
        for round in 0..3_usize {
            let mut bytes = whole.clone();
            bytes.truncate(whole.len() * (round + 2) / 4);
            let mut state = round as u32 + 1;
            for _ in 0..40 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 8) as usize % bytes.len();
                bytes[at] ^= (state >> 24) as u8;
            }
            let source = GatedSource::new(bytes.clone());
            source.release(bytes.len());
            let options = PlayerOptions {
                output: OutputChoice::CaptureUnpaced(std::env::temp_dir().join("damaged.wav")),
                ..Default::default()
            };
            let player = Player::open(source, name, options);
            let begun = Instant::now();
            while !matches!(player.snapshot().state, PlayerState::Ended | PlayerState::Failed) {
                assert!(begun.elapsed() < Duration::from_secs(20), "{name} {round}: {player:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn a_cover_picture_is_not_a_video() {
    let run = Run::play(&clips::covered_song("a.mp3"));
    assert!(!run.last.has_video && run.numbers.is_empty());
    run.assert_tone(440.0, 3.0, "cover");
}

#[test]
fn a_picture_without_sound_keeps_its_own_time() {
    let run = Run::play(&clips::silent_clip("a.mp4", 4));
    assert_eq!(run.numbers, (0..120).collect::<Vec<_>>());
    assert!(!run.last.has_audio);
    for line in &run.log {
        assert!((line.clock_ms - line.pts_ms).abs() <= 10.0, "{line:?}");
    }
}

#[test]
fn flash_and_beep_come_together_in_virtual_time() {
    for name in ["sync.mkv", "sync.mp4", "sync.mov"] {
        let run = Run::play(&clips::sync_clip(name, 6));
        let offsets = run.sync_offsets_ms();
        assert!(offsets.len() >= 5, "{name}: {offsets:?}");
        assert!(offsets.iter().all(|ms| ms.abs() <= LIP_SYNC_MS / 2.0), "{name}: {offsets:?}");
    }
}

#[test]
fn flash_and_beep_come_together_in_real_time() {
    let run = Run::start(&clips::sync_clip("sync.mkv", 6), OutputChoice::Capture).finish();
    let offsets = run.sync_offsets_ms();
    assert!(offsets.len() >= 5, "{offsets:?}");
    assert!(offsets.iter().all(|ms| ms.abs() <= LIP_SYNC_MS), "{offsets:?}");
}

#[test]
fn a_seek_lands_on_the_frame_on_screen_at_that_time() {
    for name in ["a.mp4", "faststart.mp4", "frag.mp4", "a.mov", "a.mkv", "vp9.webm", "a.ts", "pcm.avi"] {
        let path = clips::clip(name, 4);
        let run = Run::start_with(&path, |_| OutputChoice::Null, |options| options.start_paused = true);
        run.wait(|snapshot| snapshot.frames_shown == 1);
        for target_ms in [2017_u64, 417, 3950, 1000, 0, 3016] {
            let shown = run.player().snapshot().frames_shown;
            run.player().seek_ms(target_ms);
            run.wait(|snapshot| snapshot.frames_shown > shown && snapshot.state == PlayerState::Paused);
            let expected = target_ms * clips::FPS / 1000;
            assert_eq!(run.numbers().last(), Some(&expected), "{name} at {target_ms} ms");
            assert_eq!(run.player().snapshot().position_ms, target_ms, "{name}");
        }
    }
}

#[test]
fn after_a_seek_while_playing_frames_go_on_in_order_and_old_sound_is_gone() {
    let path = clips::sync_clip("sync.mkv", 6);
    let run = Run::start(&path, OutputChoice::CaptureUnpaced);
    run.wait(|snapshot| snapshot.position_ms >= 1500 || snapshot.state == PlayerState::Ended);
    run.player().seek_ms(3500);
    let run = run.finish();
    let jump = run
        .log
        .windows(2)
        .position(|pair| pair[1].pts_ms - pair[0].pts_ms > 500.0 || pair[1].pts_ms < pair[0].pts_ms);
    let jump = jump.expect("the seek shows in the log");
    assert!((run.log[jump + 1].pts_ms - 3500.0).abs() < 34.0, "{:?}", run.log[jump + 1]);
    for pair in run.log[jump + 1..].windows(2) {
        assert!((pair[1].pts_ms - pair[0].pts_ms - 33.3).abs() < 2.0, "{pair:?}");
    }
    let offsets = run.sync_offsets_ms();
    assert!(offsets.iter().all(|ms| ms.abs() <= LIP_SYNC_MS), "{offsets:?}");
}

#[test]
fn of_many_seeks_in_a_row_the_last_one_counts() {
    let run = Run::start_with(&clips::clip("a.mkv", 4), |_| OutputChoice::Null, |o| o.start_paused = true);
    for target_ms in (0..40).map(|step| step * 97 % 3900).chain([2500]) {
        run.player().seek_ms(target_ms);
    }
    run.wait(|snapshot| snapshot.state == PlayerState::Paused && snapshot.position_ms == 2500);
    run.wait(|_| run.numbers().last() == Some(&75));
}

#[test]
fn at_the_end_play_starts_over() {
    let run = Run::start(&clips::clip("a.mp4", 4), OutputChoice::CaptureUnpaced);
    run.wait(|snapshot| snapshot.state == PlayerState::Ended);
    run.player().play();
    run.wait(|snapshot| snapshot.frames_shown >= 150);
    run.wait(|snapshot| snapshot.state == PlayerState::Ended);
    let numbers = run.numbers();
    assert_eq!(numbers, (0..120).chain(0..120).collect::<Vec<_>>());
}

#[test]
fn pausing_holds_the_position_and_playing_goes_on() {
    let run = Run::start(&clips::clip("a.mp4", 4), |_| OutputChoice::Null);
    run.wait(|snapshot| snapshot.state == PlayerState::Playing && snapshot.position_ms > 200);
    run.player().pause();
    std::thread::sleep(Duration::from_millis(150));
    let held = run.player().snapshot();
    assert_eq!(held.state, PlayerState::Paused);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(run.player().snapshot().position_ms, held.position_ms);
    run.player().toggle();
    let run = run.finish();
    assert_eq!(run.numbers, (0..120).collect::<Vec<_>>());
}

#[test]
fn double_speed_takes_half_the_time_at_the_same_pitch_and_shows_every_frame() {
    let run = Run::start_with(&clips::clip("a.mp4", 4), OutputChoice::CaptureUnpaced, |_| {});
    run.player().set_speed(2.0);
    let run = run.finish();
    assert_eq!(run.numbers, (0..120).collect::<Vec<_>>());
    let seconds = run.heard_seconds();
    assert!((1.9..2.6).contains(&seconds), "{seconds}");
    run.assert_tone(440.0, seconds, "double speed");
}

#[test]
fn volume_and_mute_are_heard() {
    let path = clips::clip("a.flac", 7);
    let loud = Run::play(&path).peak();
    let run = Run::start_with(&path, OutputChoice::CaptureUnpaced, |options| options.volume = 0.5);
    let soft = run.finish().peak();
    assert!((soft / loud - 0.25).abs() < 0.05, "half the slider is -12 dB: {soft} of {loud}");
    let run = Run::start_with(&path, OutputChoice::CaptureUnpaced, |options| options.start_paused = true);
    run.player().set_muted(true);
    run.wait(|snapshot| snapshot.state == PlayerState::Paused && snapshot.duration_ms > 0);
    std::thread::sleep(Duration::from_millis(100));
    run.player().play();
    assert!(run.finish().peak() < 0.001);
}

#[test]
fn a_source_that_fills_slowly_loses_no_frame_and_counts_its_stalls() {
    let path = clips::clip("a.mkv", 4);
    let bytes = fs::read(&path).unwrap();
    let source = GatedSource::new(bytes.clone());
    let run = Run::over(source.clone(), "a.mkv", |_| OutputChoice::Null, |_| {});
    // A little under half of the file, a pause long enough to run dry, then the rest.
    source.release(bytes.len() * 45 / 100);
    run.wait(|snapshot| snapshot.state == PlayerState::Playing);
    run.wait(|snapshot| snapshot.state == PlayerState::Buffering);
    let stalled = run.player().snapshot();
    assert_eq!(stalled.stalls, 1);
    assert!(stalled.waiting_at_byte.is_some());
    std::thread::sleep(Duration::from_millis(300));
    source.release(bytes.len());
    let run = run.finish();
    assert_eq!(run.numbers, (0..120).collect::<Vec<_>>());
    assert_eq!(run.last.frames_dropped, 0);
    assert_eq!(run.last.stalls, 1);
    assert!(run.last.stalled_ms >= 300, "{}", run.last.stalled_ms);
}

#[test]
fn a_trickle_plays_to_the_end_without_a_lost_frame() {
    let bytes = fs::read(clips::clip("faststart.mp4", 4)).unwrap();
    let source = GatedSource::new(bytes.clone());
    let run = Run::over(source.clone(), "a.mp4", OutputChoice::CaptureUnpaced, |_| {});
    for have in (0..=bytes.len()).step_by(bytes.len() / 80) {
        source.release(have);
        std::thread::sleep(Duration::from_millis(10));
    }
    source.release(bytes.len());
    let run = run.finish();
    assert_eq!(run.numbers, (0..120).collect::<Vec<_>>());
    run.assert_tone(440.0, 4.0, "trickle");
}

#[test]
fn a_seek_away_from_missing_bytes_does_not_wait_for_them() {
    let bytes = fs::read(clips::clip("faststart.mp4", 4)).unwrap();
    let source = GatedSource::new(bytes.clone());
    source.release(bytes.len() / 2);
    let run = Run::over(source.clone(), "a.mp4", |_| OutputChoice::Null, |o| o.start_paused = true);
    run.wait(|snapshot| snapshot.frames_shown == 1);
    run.player().seek_ms(3900);
    run.wait(|snapshot| snapshot.waiting_at_byte.is_some_and(|at| at >= bytes.len() as u64 / 2));
    assert_eq!(run.player().snapshot().state, PlayerState::Seeking);
    assert!(source.blocking_wants().iter().any(|range| range.start >= bytes.len() as u64 / 2));
    let asked = Instant::now();
    run.player().seek_ms(500);
    run.wait(|_| run.numbers().last() == Some(&15));
    assert!(asked.elapsed() < Duration::from_millis(800), "{:?}", asked.elapsed());
}

#[test]
fn a_seek_to_missing_bytes_lands_when_they_arrive() {
    let bytes = fs::read(clips::clip("faststart.mp4", 4)).unwrap();
    let source = GatedSource::new(bytes.clone());
    source.release(bytes.len() / 2);
    let run = Run::over(source.clone(), "a.mp4", |_| OutputChoice::Null, |_| {});
    run.wait(|snapshot| snapshot.state == PlayerState::Playing);
    run.player().seek_ms(3300);
    run.wait(|snapshot| snapshot.waiting_at_byte.is_some());
    assert_eq!(run.player().snapshot().state, PlayerState::Seeking);
    source.release(bytes.len());
    let run = run.finish();
    let landed = run.numbers.iter().position(|number| *number == 99).expect("the frame at 3.3 s");
    assert_eq!(run.numbers[landed..], (99..120).collect::<Vec<_>>());
    assert_eq!(run.last.stalls, 0, "a seek is no stall");
}

#[test]
fn an_index_at_the_end_is_asked_for_and_then_playing_needs_only_the_beginning() {
    let bytes = fs::read(clips::clip("a.mp4", 20)).unwrap();
    let index_at = bytes.windows(4).rposition(|name| name == b"moov").unwrap() - 4;
    let source = GatedSource::new(bytes.clone());
    source.release(index_at / 2);
    let run = Run::over(source.clone(), "a.mp4", OutputChoice::CaptureUnpaced, |_| {});
    run.wait(|snapshot| snapshot.waiting_at_byte.is_some_and(|at| at >= index_at as u64 / 2));
    assert_eq!(run.player().snapshot().state, PlayerState::Opening);
    assert!(
        source.blocking_wants().iter().any(|range| range.contains(&(index_at as u64))),
        "the index is wanted"
    );
    source.release_end(index_at);
    run.wait(|snapshot| snapshot.frames_shown > 30);
    source.release(bytes.len());
    let run = run.finish();
    assert_eq!(run.numbers, (0..600).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_played_fails_with_a_reason() {
    for (name, bytes) in [
        (
            "noise.mp4",
            (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
        ),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1/x.ts\n".to_vec()),
        ("empty.mkv", Vec::new()),
    ] {
        let source = GatedSource::new(bytes.clone());
        source.release(bytes.len());
        let run = Run::over(source, name, |_| OutputChoice::Null, |_| {});
        run.wait(|snapshot| snapshot.state == PlayerState::Failed);
        assert!(run.player().snapshot().error.is_some_and(|error| error.contains(name)));
    }
}

#[test]
fn dropping_a_player_in_any_state_is_quick() {
    let path = clips::clip("a.mp4", 4);
    let bytes = fs::read(&path).unwrap();
    let limit = Duration::from_millis(400);
    let drop_at = |what: &str, have: usize, until: fn(PlayerState) -> bool, paused: bool| {
        let source = GatedSource::new(bytes.clone());
        source.release(have);
        let options =
            PlayerOptions { output: OutputChoice::Null, start_paused: paused, ..Default::default() };
        let player = Player::open(source, "a.mp4", options);
        let begun = Instant::now();
        while !until(player.snapshot().state) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{what}: {player:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let dropped = Instant::now();
        drop(player);
        assert!(dropped.elapsed() < limit, "{what}: {:?}", dropped.elapsed());
    };
    drop_at("at once", bytes.len(), |_| true, false);
    drop_at("opening without a byte", 0, |state| state == PlayerState::Opening, false);
    drop_at("playing", bytes.len(), |state| state == PlayerState::Playing, false);
    drop_at("paused", bytes.len(), |state| state == PlayerState::Paused, true);
    let options = PlayerOptions { output: OutputChoice::Null, ..Default::default() };
    let player = Player::open(Arc::new(FileSource::open(&path).unwrap()), "a.mp4", options);
    player.seek_ms(3000);
    let dropped = Instant::now();
    drop(player);
    assert!(dropped.elapsed() < limit, "seeking: {:?}", dropped.elapsed());
}
