//! Tokens at a seed, through the whole uploader.

use super::{
    origin::LATE_MS,
    tests::{CONTENT, SIZE_BYTES, arrived, chunk, joined, serve_all},
    *,
};
use crate::{schedule::IDLE_SOON_MS, wire::WantedBranch};

#[test]
fn the_token_of_whose_uplink_idles_first_is_answered_first() {
    let mut uploader = joined(&[1, 2, 3]);
    uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
    // Fills what may be on its way.
    uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[900, 901, 902].map(|id| chunk(id, 0)));
    serve_all(&mut uploader, 0);
    uploader.token(0, 2, token(20, 800));
    uploader.token(100, 3, token(30, 100));
    let answers = answered(&mut uploader, &[1, 2, 3], 101..400);
    let assigned: Vec<RequestId> = answers.into_iter().filter_map(|(id, leaf)| leaf.map(|_| id)).collect();
    assert_eq!(assigned, [30, 20]);
}

#[test]
fn who_wanted_what_left_meanwhile_is_given_another_only_if_its_uplink_idles_soon() {
    let forced = |id, idle_in_ms| Token { forced_leaf: Some(0), ..token(id, idle_in_ms) };
    let answer_to = |wanted: Token, asked_ms: u64| {
        let mut uploader = joined(&[1, 2]);
        uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
        // Leaf 0 goes to another; then the window is full, so that tokens wait.
        uploader.token(0, 1, forced(10, 0));
        uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[900, 901, 902].map(|id| chunk(id, 0)));
        serve_all(&mut uploader, 0);
        uploader.token(asked_ms, 2, wanted);
        let answers = answered(&mut uploader, &[1, 2], 1_000..3_000);
        answers.into_iter().rfind(|(id, _)| *id == 20).expect("an answer").1
    };
    let soon_ms = IDLE_SOON_MS as u16;
    assert_eq!(answer_to(token(20, soon_ms), 900), Some(1));
    assert_eq!(answer_to(forced(20, soon_ms), 900), Some(1));
    assert_eq!(answer_to(forced(20, soon_ms + 200), 900), None, "it has enough to pass on");
    assert_eq!(answer_to(forced(20, 0), 100), None, "that was long ago");
    assert_eq!(answer_to(token(20, 0), 100), Some(1));
    assert_eq!(answer_to(Token { forced_leaf: Some(5), ..token(20, 2_000) }, 100), Some(5));
}

#[test]
fn a_second_copy_that_is_about_to_be_late_goes_before_a_token() {
    let order = |due_ms: i32| {
        let mut uploader = joined(&[1, 2, 3]);
        uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
        // Leaf 5 is with another; then what may be on its way is full.
        uploader.have(1, (&CONTENT, SIZE_BYTES), false, false, &[LeafRange::new(5, 1)]);
        uploader.request(0, 1, CONTENT, SIZE_BYTES, 0, false, &[900, 901, 902].map(|id| chunk(id, 0)));
        serve_all(&mut uploader, 0);
        uploader.token(100, 2, token(20, 0));
        uploader.request(100, 3, CONTENT, SIZE_BYTES, 0, false, &[chunk(5, due_ms)]);
        let mut order = Vec::new();
        for now_ms in 101..1_000 {
            [1, 2, 3].into_iter().for_each(|link| arrived(&mut uploader, now_ms, link, 0));
            let served = serve_all(&mut uploader, now_ms).into_iter().map(|(_, id)| id);
            order.extend(served.filter(|id| *id < 900));
        }
        order
    };
    assert_eq!(order(LATE_MS as i32 - 50), [5, 20]);
    assert_eq!(order(2_000), [20, 5]);
}

#[test]
fn what_a_token_brings_is_proven_as_far_as_the_viewer_has_not_its_path() {
    let mut uploader = joined(&[1]);
    uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
    let wanted = |id, from_leaf, branch| Token { from_leaf, proven_to: 1, branch, ..token(id, 0) };
    let mut served = Vec::new();
    let asked = [(10, 0, WantedBranch::Own), (11, 0, WantedBranch::Next)];
    for (id, from_leaf, branch) in asked {
        uploader.token(id.into(), 1, wanted(id, from_leaf, branch));
        while let Some(output) = uploader.poll_output() {
            if let UploaderOutput::Serve { link, id, leaves, proof_skip, branch, .. } = output {
                served.push((id, leaves.first, proof_skip, branch));
                uploader.read_done(id.into(), link, id, None);
            }
        }
    }
    let expected = [(10, 0, u8::MAX, WantedBranch::None), (11, 1, 0, WantedBranch::Next)];
    assert_eq!(served, expected);
}

#[test]
fn a_token_that_waits_for_the_upload_limit_is_answered_by_time_alone() {
    // A leaf is 131 ms of it.
    let mut uploader = Uploader::new(1_000_000);
    uploader.link_joined(1);
    uploader.credit(0, 1, u64::MAX);
    uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
    let mut now_ms = 0;
    for id in 1..=3 {
        uploader.token(now_ms, 1, token(id, 0));
        while serve_all(&mut uploader, now_ms).is_empty() {
            now_ms = uploader.poll_timeout(now_ms).expect("somebody waits").at_ms;
            uploader.handle_timeout(now_ms);
        }
        arrived(&mut uploader, now_ms, 1, 0);
    }
    assert!((262..300).contains(&now_ms), "{now_ms}");
}

#[test]
fn a_token_that_is_not_due_is_looked_at_when_its_viewers_uplink_idles() {
    let mut uploader = joined(&[1, 2]);
    uploader.seeds(CONTENT, SIZE_BYTES, 1_000_000);
    for link in 3..=crate::schedule::LARGE_SWARM as u64 + 4 {
        uploader.link_joined(link);
        uploader.have(link, (&CONTENT, SIZE_BYTES), false, false, &[LeafRange::new(0, 100)]);
    }
    uploader.token(0, 1, Token { from_leaf: 0, ..token(10, 2_000) });
    assert!(serve_all(&mut uploader, 0).is_empty(), "what is played soon has left");
    let due_ms = uploader.poll_timeout(0).map(|due| due.at_ms);
    assert_eq!(due_ms, Some(2_000 - IDLE_SOON_MS));
    uploader.handle_timeout(2_000 - IDLE_SOON_MS);
    assert_eq!(serve_all(&mut uploader, 2_000 - IDLE_SOON_MS), [(1, 10)]);
}

/// The tokens that are answered while everything arrives at once, and with which leaf, if any.
fn answered(
    uploader: &mut Uploader,
    links: &[LinkId],
    times_ms: std::ops::Range<u64>,
) -> Vec<(RequestId, Option<LeafIndex>)> {
    let mut answers = Vec::new();
    for now_ms in times_ms {
        links.iter().for_each(|link| arrived(uploader, now_ms, *link, 0));
        while let Some(output) = uploader.poll_output() {
            match output {
                UploaderOutput::Assigned { id, leaves, .. } => answers.push((id, Some(leaves.first))),
                UploaderOutput::NoFresh { id, .. } => answers.push((id, None)),
                UploaderOutput::Serve { link, id, .. } => {
                    uploader.read_done(now_ms, link, id, None);
                }
                UploaderOutput::Refuse { .. } => {}
            }
        }
    }
    answers
}

/// One that asks for a leaf from the start on, of a viewer that has nothing of the proof.
pub(super) fn token(id: RequestId, idle_in_ms: u16) -> Token {
    Token {
        id,
        content_id: CONTENT,
        epoch: 0,
        from_leaf: 0,
        forced_leaf: None,
        chunk_leaves: 1,
        idle_in_ms,
        leaf_ms: 131,
        proven_to: 0,
        branch: WantedBranch::None,
    }
}
