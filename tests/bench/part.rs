//! Parts of the benchmarks that are run only where they are named.

use clap::{ValueEnum, builder::PossibleValue};

use crate::{bans, passing, seeing};

/// A part of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of `passing`.
    Passing(passing::Part),
    /// Of `bans`.
    Bans(bans::Part),
    /// Of `seeing`.
    Seeing(seeing::Part),
}

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        use bans::Part::{BannedFlood, Bulk, Churn, Clients};
        use passing::Part::{Bridge, Drops, Flood, Postgres, Stream, Tap, Tun, Veth};
        use seeing::Part::{Exact, Idle, Kept, Program, SourceFlood};

        const {
            &[
                Self::Passing(Veth),
                Self::Passing(Bridge),
                Self::Passing(Tap),
                Self::Passing(Tun),
                Self::Passing(Postgres),
                Self::Passing(Flood),
                Self::Passing(Drops),
                Self::Passing(Stream),
                Self::Bans(Bulk),
                Self::Bans(Clients),
                Self::Bans(Churn),
                Self::Bans(BannedFlood),
                Self::Seeing(Program),
                Self::Seeing(Exact),
                Self::Seeing(Idle),
                Self::Seeing(Kept),
                Self::Seeing(SourceFlood),
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Passing(part) => part.to_possible_value(),
            Self::Bans(part) => part.to_possible_value(),
            Self::Seeing(part) => part.to_possible_value(),
        }
    }
}
