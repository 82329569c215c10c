//! What policies would have made of the sources that came.
//!
//! Reads what is remembered of sources by [`SeenSources`], and judges it by rulesets that others
//! compiled. Changes nothing, and knows neither store nor kernel.

mod evaluate;
mod recommend;
mod seen;
mod span;

pub use self::evaluate::{CandidateRules, evaluate};
pub use self::recommend::{RecommendOptions, recommend};
pub use self::seen::{NothingSeen, SeenSource, SeenSources, SourcesSeen};
pub use self::span::{HOST, duration, since};
