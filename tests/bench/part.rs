//! Parts of the benchmarks that are run only where they are named.

use clap::{ValueEnum, builder::PossibleValue};

use crate::{bans, passing, seeing, start};

/// A part of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of `passing`.
    Passing(passing::Part),
    /// Of `bans`.
    Bans(bans::Part),
    /// Of `start`.
    Start(start::Part),
    /// Of `seeing`.
    Seeing(seeing::Part),
}

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        use bans::Part::{BannedFlood, Bulk, Churn, Clients};
        use passing::Part::{Bridge, Drops, Flood, Postgres, Stream, Tap, Tun, Veth};
        use seeing::Part as Seen;
        use start::Part::{Early, Idle, TakeOver};

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
                Self::Start(Early),
                Self::Start(TakeOver),
                Self::Start(Idle),
                Self::Seeing(Seen::Program),
                Self::Seeing(Seen::Exact),
                Self::Seeing(Seen::Idle),
                Self::Seeing(Seen::Kept),
                Self::Seeing(Seen::SourceFlood),
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Passing(part) => part.to_possible_value(),
            Self::Bans(part) => part.to_possible_value(),
            Self::Start(part) => part.to_possible_value(),
            Self::Seeing(part) => part.to_possible_value(),
        }
    }
}
