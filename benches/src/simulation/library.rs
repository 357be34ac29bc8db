//! Scenarios of many films and few seeds: everything is there already, and what matters is who takes how much from whom.

use super::scenario::{Expected, Group, Joins, REFERENCE, Rate, S, SMOOTH, Scenario, Up, seeds, viewers};

/// Viewers that play each another film, of seeds that hold several.
const LIBRARY: Scenario = Scenario {
    rate: Rate::SupplyOver(1.15),
    media_ms: 180 * S,
    origin_bps: 0,
    apart: true,
    expected: SMOOTH,
    ..REFERENCE
};

pub(super) const LIBRARIES: &[Scenario] = &[
    Scenario {
        name: "narrow",
        about: "10 films, 5 seeds, 1.15 x what all need; 2 of the films have one seed, which holds the others too",
        groups: &[
            Group { down_bps: 40_000_000, ..viewers(2, Joins::Evenly(10 * S)) },
            Group { down_bps: 40_000_000, ..viewers(8, Joins::Evenly(10 * S)) },
            seeds(1, Up::Fixed(4_000_000)),
            Group { holds_for: &[1], ..seeds(4, Up::Fixed(4_000_000)) },
        ],
        expected: Expected { stalled_percent: 3.0, ..SMOOTH },
        ..LIBRARY
    },
    Scenario {
        name: "narrow-unequal",
        about: "16 films, a seed of 4 Mbit/s and one of 12, 1.15 x what all need; 4 of the films have the small one alone",
        groups: &[
            viewers(4, Joins::Evenly(10 * S)),
            viewers(12, Joins::Evenly(10 * S)),
            seeds(1, Up::Fixed(4_000_000)),
            Group { holds_for: &[1], ..seeds(1, Up::Fixed(12_000_000)) },
        ],
        expected: Expected { worst_start_ms: 8_000, ..SMOOTH },
        ..LIBRARY
    },
    Scenario {
        name: "narrow-random",
        about: "16 films at random times; 4 have one seed of 4 Mbit/s, the others four more, of 1 to 6 Mbit/s",
        groups: &[
            viewers(4, Joins::Randomly(20 * S)),
            viewers(12, Joins::Randomly(20 * S)),
            seeds(1, Up::Fixed(4_000_000)),
            Group { holds_for: &[1], ..seeds(4, Up::Listed(&[1_000_000, 2_000_000, 3_000_000, 6_000_000])) },
        ],
        expected: Expected { worst_start_ms: 8_000, ..SMOOTH },
        ..LIBRARY
    },
    Scenario {
        name: "narrow-origin",
        about: "16 films of 1 Mbit/s, seeds of 4 and 10 Mbit/s and the library: what does it send that the seeds could?",
        groups: &[
            viewers(4, Joins::Evenly(10 * S)),
            viewers(12, Joins::Evenly(10 * S)),
            seeds(1, Up::Fixed(4_000_000)),
            Group { holds_for: &[1], ..seeds(1, Up::Fixed(10_000_000)) },
        ],
        origin_bps: 20_000_000,
        rate: Rate::Bps(1_000_000),
        ..LIBRARY
    },
];
