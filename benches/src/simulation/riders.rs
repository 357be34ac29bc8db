//! Scenarios of crowds in which some take and do not give.

use super::scenario::{Group, Joins, REFERENCE, Role, S, Scenario, VIEWERS_8, viewers};

pub(super) const RIDERS: &[Scenario] = &[
    Scenario {
        name: "free-riders",
        about: "2 of 8 viewers do not upload, and everybody knows",
        groups: &[
            viewers(6, Joins::Evenly(5 * S)),
            Group { role: Role::FreeRider, count: 2, joins: Joins::Randomly(5 * S), ..VIEWERS_8 },
        ],
        ..REFERENCE
    },
    Scenario {
        name: "secret-free-riders",
        about: "2 of 8 viewers do not upload, and nobody knows",
        groups: &[
            viewers(6, Joins::Evenly(5 * S)),
            Group { role: Role::SecretFreeRider, count: 2, joins: Joins::Randomly(5 * S), ..VIEWERS_8 },
        ],
        ..REFERENCE
    },
    Scenario {
        name: "forgers",
        about: "2 of 8 viewers say that they have everything and send nothing; one refuses, one is silent",
        groups: &[
            viewers(6, Joins::Evenly(5 * S)),
            Group {
                role: Role::Forger { refuses: true },
                count: 1,
                joins: Joins::Randomly(5 * S),
                ..VIEWERS_8
            },
            Group {
                role: Role::Forger { refuses: false },
                count: 1,
                joins: Joins::Randomly(5 * S),
                ..VIEWERS_8
            },
        ],
        ..REFERENCE
    },
];
