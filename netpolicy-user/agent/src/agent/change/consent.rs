//! What opens the host or a service to every source, and whether the requester agreed.
//!
//! Goes by effect: a list that files replace and that loses more than half of its entries, since a
//! file that was cut short looks so; and whatever makes the rules pass every source, or exempts every source,
//! is refused unless the request consents to it, by whichever command or statement it
//! comes. Decides nothing about who is denied.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::options::{ChangeOptions, hex};
use super::situation::{Candidate, Situation};
use crate::agent::error::{AgentError, EnforcerError, chain};
use crate::agent::in_force::InForce;
use crate::api::{Opening, Opens, Shrink};
use crate::compiler::{Doors, Exempt, Ruleset, openings};
use crate::datapath::EnforcedRules;
use crate::model::effect::OpenTo;
use crate::model::feed::has_shrunk;
use crate::model::{Bypass, State};

/// Lists with fewer entries may lose any number of them.
const SHRINK_FROM: usize = 100;

/// The end of all filtering, by detaching from every interface.
#[must_use]
pub fn everything() -> Opens {
    let host = Opening {
        scope: "host".to_owned(),
        ports: None,
        sources: OpenTo::Every,
        percent: 100,
    };
    named(vec![host], Vec::new(), "detach")
}

impl Situation<'_> {
    /// Finds out what a change opens, and refuses it without consent.
    pub(in crate::agent) fn check_opened(
        &self,
        candidate: &mut Candidate,
        options: ChangeOptions,
    ) -> Result<(), AgentError> {
        let shrinks = match options.by_files {
            true => shrinks(&self.in_force.state, &candidate.state),
            false => Vec::new(),
        };
        let openings = self.opened_by(candidate);
        let is_any = !openings.is_empty() || !shrinks.is_empty();
        candidate.changed.opens = is_any.then(|| named(openings, shrinks, "change"));
        let opens = candidate.changed.opens.as_ref();
        match options.consent.require("the change", opens) {
            Err(AgentError::Opens { opens, .. }) if options.dry_run => {
                asks(&mut candidate.changed.warnings, &opens);
                Ok(())
            }
            consented => consented,
        }
    }

    fn opened_by(&self, candidate: &Candidate) -> Vec<Opening> {
        // Effects know no bypasses: a port that moves may meet one.
        let may_open = !self.bypasses.is_empty() || candidate.may_allow;
        if candidate.digest == self.in_force.digest || !may_open {
            return Vec::new();
        }
        let (old, new) = (&*self.in_force.ruleset, &**candidate.compiled.ruleset());
        let no_bypass = Exempt::default();
        let doors = |rules, exempt| Doors { rules, exempt };
        let mut found = openings(doors(old, &no_bypass), doors(new, &no_bypass));
        if !self.bypasses.is_empty() {
            let before = Exempt::at(self.bypasses, &self.in_force.state, self.now);
            let after = Exempt::at(self.bypasses, &candidate.state, self.now);
            join(
                &mut found,
                openings(doors(old, &before), doors(new, &after)),
            );
        }
        found
    }
}

/// What other bypasses than those that there are open, now or before they expire;
/// `minutes`: how long the new ones last.
pub(in crate::agent) fn opened_by_bypasses(
    in_force: &InForce,
    bypasses: &[Bypass],
    new: &[Bypass],
    now: Timestamp,
    minutes: u32,
) -> Option<Opens> {
    // As others expire, one that adds little now may become all that opens a scope.
    let mut times: BTreeSet<_> = new.iter().map(|bypass| bypass.expires).collect();
    times.retain(|time| *time > now);
    let just_before = |time: Timestamp| time.checked_sub(SignedDuration::from_nanos(1)).ok();
    let times = times.into_iter().filter_map(just_before);
    let rules = &*in_force.ruleset;
    let mut found = Vec::new();
    for time in std::iter::once(now).chain(times) {
        let old = &Exempt::at(bypasses, &in_force.state, time);
        let new = &Exempt::at(new, &in_force.state, time);
        let [old, new] = [old, new].map(|exempt| Doors { rules, exempt });
        join(&mut found, openings(old, new));
    }
    (!found.is_empty()).then(|| named(found, Vec::new(), &format!("bypass {minutes}")))
}

/// What the store's rules and bypasses open against what is enforced in the kernel, which may
/// be of a state that is not known.
pub(in crate::agent) fn opened_by_store(
    in_force: &InForce,
    bypasses: &[Bypass],
    now: Timestamp,
    enforced: Result<EnforcedRules, EnforcerError>,
) -> Option<Opens> {
    let exempt = Exempt::at(bypasses, &in_force.state, now);
    let new = Doors {
        rules: &in_force.ruleset,
        exempt: &exempt,
    };
    let found = match enforced {
        Ok(enforced) => {
            let exempt = Exempt::new(&enforced.bypasses);
            let rules = &enforced.rules;
            openings(
                Doors {
                    rules,
                    exempt: &exempt,
                },
                new,
            )
        }
        // As if nothing were open now.
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "what is in force cannot be read back"
            );
            let closed = Ruleset::closed();
            let exempt = Exempt::default();
            openings(
                Doors {
                    rules: &closed,
                    exempt: &exempt,
                },
                new,
            )
        }
    };
    (!found.is_empty()).then(|| named(found, Vec::new(), "acknowledge"))
}

/// Says that the requester will be asked.
pub(in crate::agent) fn asks(warnings: &mut Vec<String>, opens: &Opens) {
    warnings.push(format!(
        "this {} and asks before it is done; without a terminal it requires --yes",
        opens.sentence()
    ));
}

/// Adds what else is opened.
fn join(found: &mut Vec<Opening>, more: Vec<Opening>) {
    for opening in more {
        let says_it = |known: &Opening| {
            (&known.scope, &known.ports) == (&opening.scope, &opening.ports)
                && [opening.sources, OpenTo::Every].contains(&known.sources)
                && known.percent >= opening.percent
        };
        if !found.iter().any(says_it) {
            found.push(opening);
        }
    }
}

/// Lists of [`SHRINK_FROM`] entries or more that lose more than half of them, and those that lose
/// more than their own limit. A feed has guards of its own.
fn shrinks(old: &State, new: &State) -> Vec<Shrink> {
    let mut found = Vec::new();
    let mut look = |list: &dyn Fn() -> String, limit: Option<u8>, before: usize, after: usize| {
        let is_long = limit.is_some() || before >= SHRINK_FROM;
        if is_long && has_shrunk(after, before, limit.unwrap_or(50)) {
            let list = list();
            found.push(Shrink {
                list,
                before,
                after,
            });
        }
    };
    for new in new.lists.iter().filter(|list| list.feed.is_none()) {
        if let Some(old) = old.lists.iter().find(|old| old.name == new.name) {
            let list = || format!("list {}", new.name);
            let limit = match (new.max_shrink, old.max_shrink) {
                // A file that was cut short may have lost the limit: the stricter one counts.
                (None, Some(limit)) if old.len() >= SHRINK_FROM => Some(limit.min(50)),
                (None, limit) => limit,
                (limit, _) => limit,
            };
            look(&list, limit, old.len(), new.len());
        }
    }
    for new in &new.policies {
        let Some(old) = old.policies.iter().find(|old| old.name == new.name) else {
            continue;
        };
        let list = |kind: &'static str| move || format!("the {kind} list of policy {}", new.name);
        look(&list("block"), None, old.block.len(), new.block.len());
        // An allow part that is left out is no list that shrank.
        if let (Some(old), Some(new)) = (old.allow_list(), new.allow_list()) {
            look(&list("allow"), None, old.len(), new.len());
        }
    }
    found
}

/// Openings and lists with the key that names them; `by`: what else is agreed to.
fn named(openings: Vec<Opening>, shrinks: Vec<Shrink>, by: &str) -> Opens {
    let mut hash = blake3::Hasher::new();
    hash.update(by.as_bytes());
    for opening in &openings {
        let ports = opening.ports.as_deref().unwrap_or("all");
        // No name and no port holds a line break.
        let to = (opening.sources, opening.percent);
        let line = format!("\n{to:?}\n{ports}\n{}", opening.scope);
        hash.update(line.as_bytes());
    }
    for shrink in &shrinks {
        let Shrink {
            list,
            before,
            after,
        } = shrink;
        hash.update(format!("\n{before}\n{after}\n{list}").as_bytes());
    }
    let mut key = [0; 8];
    hash.finalize_xof().fill(&mut key);
    Opens {
        openings,
        shrinks,
        key: hex(u64::from_be_bytes(key)),
    }
}

#[cfg(test)]
mod tests;
