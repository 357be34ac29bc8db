//! Scenarios of crowds in which some take and do not give.

use super::scenario::{Group, Joins, REFERENCE, Role, S, Scenario, viewers};

const fn riders(count: u32, role: Role) -> Group {
    Group { role, ..viewers(count, Joins::Randomly(5 * S)) }
}

pub(super) const RIDERS: &[Scenario] = &[
    Scenario {
        name: "free-riders",
        about: "2 of 8 viewers do not upload, and everybody knows",
        groups: &[viewers(6, Joins::Evenly(5 * S)), riders(2, Role::FreeRider)],
        ..REFERENCE
    },
    Scenario {
        name: "secret-free-riders",
        about: "2 of 8 viewers do not upload, and nobody knows",
        groups: &[viewers(6, Joins::Evenly(5 * S)), riders(2, Role::SecretFreeRider)],
        ..REFERENCE
    },
    Scenario {
        name: "forgers",
        about: "2 of 8 viewers say that they have everything and send nothing; one refuses, one is silent",
        groups: &[
            viewers(6, Joins::Evenly(5 * S)),
            riders(1, Role::Forger { refuses: true }),
            riders(1, Role::Forger { refuses: false }),
        ],
        ..REFERENCE
    },
];
