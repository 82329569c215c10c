//! What is banned now, for all who only read, and for the writer, which alone changes it.
//!
//! Knows neither store nor kernel.

mod chunked;
mod ends;
mod entry;
mod family;
mod listing;
mod nets;
mod origins;
mod others;
mod scale;
mod shared;
mod staged;
mod table;
mod texts;

pub(in crate::agent) use self::ends::NEVER;
pub(in crate::agent) use self::listing::is_scope;
pub(in crate::agent) use self::listing::{BanCursor, BanPart, part};
pub use self::listing::{count, overlapping, page};
pub(in crate::agent) use self::others::OriginBans;
pub(in crate::agent) use self::scale::ClockScale;
pub(in crate::agent) use self::shared::write;
pub use self::shared::{SharedBans, ban_of, is_banned, next_end, read};
pub(in crate::agent) use self::staged::{KnownBan, StagedBans};
pub use self::table::BanTable;
pub(in crate::agent) use self::texts::OriginFilter;
