//! What can happen in a simulated swarm, as data; no rule of streaming is here.

use super::{library::LIBRARIES, riders::RIDERS};

/// The reference crowd's origin.
const ORIGIN_BPS: u64 = 2_500_000;
/// The reference crowd's viewers.
const UP_BPS: u64 = 1_200_000;
const DOWN_BPS: u64 = 4_000_000;
pub(super) const S: u64 = 1_000;

/// One world to be.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about, in a line.
    pub about: &'static str,
    /// The media's rate.
    pub rate: Rate,
    /// Length of the media.
    pub media_ms: u64,
    /// The origin's uplink, or 0 for no origin.
    pub origin_bps: u64,
    /// Who takes part besides the origin.
    pub groups: &'static [Group],
    /// So many in each group of viewers instead, if set.
    pub viewers: Option<u32>,
    /// What befalls them.
    pub happenings: &'static [Happening],
    /// Round trip between any two nodes.
    pub rtt_ms: u64,
    /// A frame takes up to this much longer.
    pub jitter_ms: u64,
    /// How far ahead of its playhead a player reads.
    pub reads_ahead_ms: u64,
    /// Whether viewers ask the origin for fresh chunks by token.
    pub tokens: bool,
    /// Whether viewers keep to the shares that the tracker tells.
    pub shares: bool,
    /// Whether each viewer plays a content of its own, all of one length and rate.
    pub apart: bool,
    /// How long viewers stay.
    pub stays: Stays,
    /// When it ends at the latest.
    pub limit_ms: u64,
    /// What must come of it.
    pub expected: Expected,
}

/// The rate of the media.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Bits per second.
    Bps(u64),
    /// This share of what the swarm can carry, `min(u_s, (u_s + sum u_i) / N)`.
    OfMax(f64),
    /// So that the seeds together send this many times what the viewers need.
    SupplyOver(f64),
}

/// Nodes of one sort.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// How many.
    pub count: u32,
    /// What they are.
    pub role: Role,
    /// Their uplinks.
    pub up: Up,
    /// Their downlinks.
    pub down_bps: u64,
    /// When they come.
    pub joins: Joins,
    /// Seeds of viewers that play apart: the groups whose contents they hold; all where none is named.
    pub holds_for: &'static [usize],
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Plays the media, from the start.
    Viewer,
    /// Fetches the whole content as fast as it can.
    Downloader,
    /// Holds everything.
    Seed,
    /// Plays and sends nothing; its neighbours are told so.
    FreeRider,
    /// Plays and sends nothing, and nobody knows.
    SecretFreeRider,
    /// Plays, says that it has everything, and sends nothing.
    Forger {
        /// Whether it refuses what it is asked, or says nothing.
        refuses: bool,
    },
}

/// Uplinks of a group.
#[derive(Debug, Clone, Copy)]
pub enum Up {
    /// All the same.
    Fixed(u64),
    /// The same but for this share up or down.
    Around(u64, f64),
    /// In turn.
    Listed(&'static [u64]),
    /// In this order, but for this share up or down.
    Each(&'static [u64], f64),
}

/// When the nodes of a group come.
#[derive(Debug, Clone, Copy)]
pub enum Joins {
    /// Together.
    At(u64),
    /// One after the other, evenly over this time.
    Evenly(u64),
    /// At these times, in turn.
    Listed(&'static [u64]),
    /// At random within this time.
    Randomly(u64),
    /// At random within this time, most in its middle and hardly any at its ends: sin squared.
    Daily(u64),
    /// As a Poisson process; so long between two on average.
    Poisson(u64),
}

/// How long viewers stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// They serve others as long as the world lasts.
    Always,
    /// They go when they have played everything.
    ToTheEnd,
    /// They go, whatever they have played, after so long on average, exponentially.
    OnAverage(u64),
}

/// Something that befalls nodes.
#[derive(Debug, Clone, Copy)]
pub enum Happening {
    /// This share of a group vanishes.
    Kill {
        /// When.
        at_ms: u64,
        /// Of which group.
        group: usize,
        /// How many of it.
        share: f64,
    },
    /// Of a group of seeds one vanishes, and then another each time this has passed; in the place of each another one comes.
    ReplaceEach {
        /// How long between two.
        every_ms: u64,
        /// Of which group.
        group: usize,
        /// How many.
        times: u32,
    },
    /// The origin vanishes two seconds after the last first copy left it.
    KillOriginOnceCopied,
    /// The first viewer of a group jumps.
    Seek {
        /// When.
        at_ms: u64,
        /// Which group.
        group: usize,
        /// Where to in the media.
        to_ms: u64,
    },
    /// The first viewer of a group jumps about at random.
    SeekAbout {
        /// First when.
        from_ms: u64,
        /// How long between two jumps.
        every_ms: u64,
        /// How many.
        times: u32,
        /// Which group.
        group: usize,
    },
}

/// What must come of a scenario, for every seed.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Stalled time over all viewers, in percent of played and stalled time.
    pub stalled_percent: f64,
    /// The longest start.
    pub worst_start_ms: u64,
    /// Received bytes over the bytes kept.
    pub received_ratio: f64,
    /// The longest seek.
    pub worst_seek_ms: u64,
}

pub(super) const SMOOTH: Expected =
    Expected { stalled_percent: 0.0, worst_start_ms: 4_000, received_ratio: 1.06, worst_seek_ms: 3_000 };
const CROWD: Expected =
    Expected { stalled_percent: 1.0, worst_start_ms: 10_000, received_ratio: 1.08, worst_seek_ms: 10_000 };

/// When the viewers of the comparison kit's crowds come.
const KIT_JOINS_MS: &[u64] = &[66, 328, 1_190, 1_850, 2_721, 3_020, 3_129, 4_187];
const VIEWERS_8: Group = Group {
    count: 8,
    role: Role::Viewer,
    up: Up::Fixed(UP_BPS),
    down_bps: DOWN_BPS,
    joins: Joins::Evenly(5 * S),
    holds_for: &[],
};

pub(super) const REFERENCE: Scenario = Scenario {
    name: "crowd",
    about: "the reference crowd: 8 viewers within 5 s, 40 ms round trip",
    rate: Rate::OfMax(0.8),
    media_ms: 60 * S,
    origin_bps: ORIGIN_BPS,
    groups: &[VIEWERS_8],
    viewers: None,
    happenings: &[],
    rtt_ms: 40,
    jitter_ms: 2,
    reads_ahead_ms: 30 * S,
    tokens: true,
    shares: true,
    apart: false,
    stays: Stays::Always,
    limit_ms: 240 * S,
    expected: CROWD,
};

pub(super) const fn viewers(count: u32, joins: Joins) -> Group {
    Group { count, joins, ..VIEWERS_8 }
}

pub(super) const fn seeds(count: u32, up: Up) -> Group {
    Group { count, role: Role::Seed, up, down_bps: 100_000_000, joins: Joins::At(0), holds_for: &[] }
}

const fn lone(down_bps: u64) -> Group {
    Group { count: 1, down_bps, joins: Joins::At(0), ..VIEWERS_8 }
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bulk",
        about: "one source on a gigabit, the whole of 256 MB as fast as it goes",
        rate: Rate::Bps(8_000_000),
        media_ms: 256 * S,
        origin_bps: 0,
        groups: &[
            Group { role: Role::Downloader, ..lone(1_000_000_000) },
            seeds(1, Up::Fixed(1_000_000_000)),
        ],
        rtt_ms: 2,
        jitter_ms: 0,
        limit_ms: 60 * S,
        expected: SMOOTH,
        ..REFERENCE
    },
    Scenario {
        name: "dying-sources",
        about: "8 sources of unequal rate, 1.15 x the bitrate together; one dies and another comes each 10 s",
        rate: Rate::SupplyOver(1.15),
        origin_bps: 0,
        groups: &[
            lone(40_000_000),
            seeds(
                8,
                Up::Listed(&[200_000, 300_000, 400_000, 500_000, 700_000, 900_000, 1_000_000, 1_500_000]),
            ),
        ],
        happenings: &[Happening::ReplaceEach { every_ms: 10 * S, group: 1, times: 7 }],
        expected: SMOOTH,
        ..REFERENCE
    },
    Scenario {
        name: "ten-seeks",
        about: "ten seeks in a row, one source of 20 Mbit/s",
        rate: Rate::Bps(2_000_000),
        media_ms: 600 * S,
        origin_bps: 20_000_000,
        groups: &[lone(100_000_000)],
        happenings: &[Happening::SeekAbout { from_ms: 3 * S, every_ms: 300, times: 10, group: 0 }],
        limit_ms: 20 * S,
        expected: Expected { worst_seek_ms: 700, ..SMOOTH },
        ..REFERENCE
    },
    Scenario {
        name: "patient-seeks",
        about: "ten seeks, each waited for, one source of 20 Mbit/s and 50 ms",
        rate: Rate::Bps(2_000_000),
        media_ms: 600 * S,
        origin_bps: 20_000_000,
        groups: &[lone(100_000_000)],
        happenings: &[Happening::SeekAbout { from_ms: 3 * S, every_ms: 4 * S, times: 10, group: 0 }],
        rtt_ms: 50,
        limit_ms: 60 * S,
        expected: Expected { worst_seek_ms: 700, ..SMOOTH },
        ..REFERENCE
    },
    REFERENCE,
    Scenario {
        name: "crowd-random",
        about: "the reference crowd with random joins and uplinks 10 % up or down",
        groups: &[Group { up: Up::Around(UP_BPS, 0.1), joins: Joins::Randomly(5 * S), ..VIEWERS_8 }],
        ..REFERENCE
    },
    Scenario {
        name: "crowd-near",
        about: "the reference crowd, 2 ms round trip",
        rtt_ms: 2,
        jitter_ms: 0,
        ..REFERENCE
    },
    Scenario {
        name: "crowd-kit",
        about: "the reference crowd as the comparison kit runs it: its moments of joining, 2 ms round trip",
        groups: &[Group { up: Up::Around(UP_BPS, 0.01), joins: Joins::Listed(KIT_JOINS_MS), ..VIEWERS_8 }],
        rtt_ms: 2,
        jitter_ms: 0,
        ..REFERENCE
    },
    Scenario { name: "crowd-far", about: "the reference crowd, 100 ms round trip", rtt_ms: 100, ..REFERENCE },
    Scenario {
        name: "crowd-16",
        about: "16 viewers within 5 s",
        groups: &[viewers(16, Joins::Evenly(5 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "crowd-24",
        about: "24 viewers within 5 s: the largest of the small swarms",
        groups: &[viewers(24, Joins::Evenly(5 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "crowd-50",
        about: "50 viewers within 5 s, about 20 neighbours each",
        groups: &[viewers(50, Joins::Evenly(5 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "unequal",
        about: "the reference crowd with uplinks of 0.35 to 3.4 Mbit/s",
        groups: &[Group {
            up: Up::Listed(&[350_000, 3_400_000, 500_000, 2_000_000, 700_000, 1_200_000, 450_000, 1_000_000]),
            ..VIEWERS_8
        }],
        ..REFERENCE
    },
    Scenario {
        name: "unequal-kit",
        about: "the crowd of unequal uplinks as the comparison kit runs it, 2 ms round trip",
        groups: &[Group {
            up: Up::Each(
                &[900_000, 300_000, 4_000_000, 600_000, 1_300_000, 400_000, 1_900_000, 2_700_000],
                0.01,
            ),
            joins: Joins::Listed(KIT_JOINS_MS),
            ..VIEWERS_8
        }],
        rtt_ms: 2,
        jitter_ms: 0,
        ..REFERENCE
    },
    Scenario {
        name: "third-killed",
        about: "a third of 12 viewers vanishes at 20 s",
        groups: &[viewers(12, Joins::Evenly(5 * S))],
        happenings: &[Happening::Kill { at_ms: 20 * S, group: 0, share: 0.34 }],
        ..REFERENCE
    },
    Scenario {
        name: "origin-killed",
        about: "the reference crowd loses its origin once a full copy is out",
        happenings: &[Happening::KillOriginOnceCopied],
        ..REFERENCE
    },
    Scenario {
        name: "late-joiner",
        about: "7 viewers, and one more at minute 5 of a 10-minute film",
        media_ms: 600 * S,
        groups: &[viewers(7, Joins::Evenly(5 * S)), Group { joins: Joins::At(300 * S), ..lone(DOWN_BPS) }],
        limit_ms: 1_000 * S,
        ..REFERENCE
    },
    Scenario {
        name: "seeker",
        about: "one of 8 viewers jumps from 60 s to 150 s of a 5-minute film",
        rate: Rate::OfMax(0.6),
        media_ms: 300 * S,
        happenings: &[Happening::Seek { at_ms: 63 * S, group: 0, to_ms: 150 * S }],
        limit_ms: 600 * S,
        ..REFERENCE
    },
    Scenario {
        name: "poisson",
        about: "30 viewers over 10 minutes, a 15-minute film, all stay",
        media_ms: 900 * S,
        groups: &[viewers(30, Joins::Poisson(20 * S))],
        limit_ms: 2_400 * S,
        ..REFERENCE
    },
    Scenario {
        name: "crowd-200",
        about: "200 viewers within 15 s, about 20 neighbours each",
        groups: &[viewers(200, Joins::Randomly(15 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "spread-200",
        about: "200 viewers whose joins spread over the whole minute",
        groups: &[viewers(200, Joins::Randomly(60 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "crowd-1000",
        about: "1,000 viewers within 30 s",
        groups: &[viewers(1_000, Joins::Randomly(30 * S))],
        ..REFERENCE
    },
    Scenario {
        name: "radio-10000",
        about: "10,000 listeners to music of 128 kbit/s with uplinks of 1 Mbit/s, within 60 s",
        rate: Rate::Bps(128_000),
        groups: &[Group { up: Up::Fixed(1_000_000), ..viewers(10_000, Joins::Randomly(60 * S)) }],
        ..REFERENCE
    },
    Scenario {
        name: "radio-steady",
        about: "listeners to 128 kbit/s come one every 200 ms for 200 s, each hears a minute and leaves",
        rate: Rate::Bps(128_000),
        groups: &[Group { up: Up::Fixed(1_000_000), ..viewers(1_000, Joins::Poisson(200)) }],
        stays: Stays::ToTheEnd,
        limit_ms: 400 * S,
        ..REFERENCE
    },
    Scenario {
        name: "radio-churn",
        about: "1,000 listeners to 128 kbit/s within 60 s; each goes without a word after a minute on average",
        rate: Rate::Bps(128_000),
        media_ms: 180 * S,
        groups: &[Group { up: Up::Fixed(1_000_000), ..viewers(1_000, Joins::Randomly(60 * S)) }],
        stays: Stays::OnAverage(60 * S),
        ..REFERENCE
    },
    Scenario {
        name: "radio-day",
        about: "a day of 400 s: few listeners to 128 kbit/s at night, a thousand at noon; each hears a minute and leaves",
        rate: Rate::Bps(128_000),
        groups: &[Group { up: Up::Fixed(1_000_000), ..viewers(2_000, Joins::Daily(400 * S)) }],
        stays: Stays::ToTheEnd,
        limit_ms: 600 * S,
        ..REFERENCE
    },
    Scenario {
        name: "crowd-10000",
        about: "10,000 viewers within 60 s",
        groups: &[viewers(10_000, Joins::Randomly(60 * S))],
        ..REFERENCE
    },
];

/// Every scenario there is.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain(RIDERS).chain(LIBRARIES)
}

/// The scenario of that name.
pub fn find(name: &str) -> Option<Scenario> {
    all().find(|scenario| scenario.name == name).copied()
}
