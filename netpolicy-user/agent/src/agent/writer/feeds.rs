//! New content of feeds: checked, compiled, stored and put in force, in no revision.
//!
//! The way is that of a change, without what only a person can answer: there is no operator to ask,
//! and no address of one. What is refused or fails before the flip has no effect but
//! that the status says so.

use std::net::IpAddr;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::core::Writer;
use crate::agent::access::{Requester, audit, rights};
use crate::agent::change::ChangeOptions;
use crate::agent::databases;
use crate::agent::error::AgentError;
use crate::agent::feeds::{FeedContent, version};
use crate::api::{FeedContentQuery, FeedReport, FeedView, Phase};
use crate::model::{Applied, Feed, Name, NamedList, Privilege, RuleList, State, counted};
use crate::store::{FeedRecord, FeedUpdate, Outcome};

impl Writer {
    /// Puts new content of a feed in force.
    ///
    /// # Errors
    /// The caller may not; there is no such feed, or it has other settings by now; its settings
    /// refuse the content; store or kernel do not take it. What is in force stays.
    pub fn put_feed(
        &mut self,
        name: &str,
        content: FeedContent,
        query: &FeedContentQuery,
        own: &[IpAddr],
        requester: Requester,
    ) -> Result<FeedView, AgentError> {
        let action = format!("feed {name}");
        self.may_feed(requester, &action, "hand over the content of a feed")?;
        let result = self.try_put_feed(name, content, query, own, requester);
        self.follow_databases();
        if let Err(error) = &result {
            if let Ok((name, _)) = self.feed_of(name, Some(&query.version)) {
                let now = self.settings.clock.wall();
                self.feeds.of_mut(&name).failed(now, &error.to_string());
                self.feeds.of_mut(&name).next = in_future(now, query.next_in);
                self.publish();
            }
            tracing::warn!(action, %error, "content of a feed refused");
        }
        self.rest();
        result
    }

    fn try_put_feed(
        &mut self,
        name: &str,
        content: FeedContent,
        query: &FeedContentQuery,
        own: &[IpAddr],
        requester: Requester,
    ) -> Result<FeedView, AgentError> {
        self.upkeep.must_not_be_held(self.in_force.revision)?;
        let (name, feed) = self.feed_of(name, Some(&query.version))?;
        let started = Instant::now();
        self.phase(Phase::Checking);
        let before = self.feed_list(&name).map(|list| list.entries.clone());
        let before = before.unwrap_or_default();
        let known = self.feeds.of(&name);
        let is_known = known.is_some_and(|known| known.current(&feed).is_some());
        feed.judge(content.nets(), is_known.then_some(before.len()), own)
            .map_err(|refusal| AgentError::BadRequest(refusal.to_string()))?;
        let entries = RuleList::renewed(&before, content.rules, &feed.source);
        self.must_fit(before.len(), entries.len())?;
        let now = self.settings.clock.wall();
        let mut record = FeedRecord {
            replaced: None,
            by: feed.clone(),
            fetched: now,
            checked: now,
            format: query.format.clone(),
            skipped: query.skipped,
            etag: query.etag.clone(),
            last_modified: query.last_modified.clone(),
        };
        if entries.same_words(&before) && is_known {
            self.put_record(&name, record)?;
        } else {
            record.replaced = Some(self.in_force.digest);
            self.put_content(&name, &before, &entries, record, started, requester)?;
        }
        let condition = self.feeds.of_mut(&name);
        condition.error = None;
        condition.next = in_future(now, query.next_in);
        self.publish();
        self.feed_view(&name)
    }

    /// Refuses content by which all lists together have more entries than changes may make.
    fn must_fit(&self, before: usize, entries: usize) -> Result<(), AgentError> {
        let limits = self.settings.limits;
        let limit = limits
            .policies
            .saturating_mul(limits.rules_per_list)
            .saturating_mul(2);
        let lists = self.in_force.state.lists.iter();
        let count = lists.map(NamedList::len).sum::<usize>() - before + entries;
        match count > limit && entries > before {
            true => Err(AgentError::BadRequest(format!(
                "{count} entries in all lists together, but the limit is {limit}; raise the \
                 limits in the agent's configuration"
            ))),
            false => Ok(()),
        }
    }

    /// Stores content and puts it in force.
    fn put_content(
        &mut self,
        name: &Name,
        before: &RuleList,
        entries: &RuleList,
        record: FeedRecord,
        started: Instant,
        requester: Requester,
    ) -> Result<(), AgentError> {
        let mut state = State::clone(&self.in_force.state);
        set(&mut state, name, entries);
        let applied = Applied {
            state,
            warnings: Vec::new(),
        };
        let options = ChangeOptions::default();
        let situation = self.situation(&self.in_force);
        let mut candidate = situation.candidate(applied, started, None, options)?;
        situation.check_tests(&mut candidate, options)?;
        // An empty list came past `min_entries`: its end was agreed to with the settings.
        if !entries.is_empty() {
            situation
                .check_opened(&mut candidate, options)
                .map_err(|error| match error {
                    AgentError::Opens { opens, .. } => AgentError::BadRequest(format!(
                        "the new content {}, and no refresh of a feed may",
                        opens.sentence()
                    )),
                    error => error,
                })?;
        }
        let (state, compiled) = (&candidate.state, candidate.compiled.ruleset());
        let orders = self.orders_of(state, compiled, false)?;
        let widens = databases::widens(state, (&self.in_force.ruleset, compiled));
        let kept = self.kept();
        self.carry_first((&kept, &orders), widens, options)?;
        // The kernel is told the revision that there is, or the next agent would take the store
        // for an older one.
        let prepared = self.kernel.prepare(
            &self.in_force,
            self.in_force.revision,
            candidate.state,
            candidate.compiled,
            candidate.digest,
            &self.progress,
        )?;
        self.phase(Phase::Storing);
        let revision = self.in_force.revision;
        let action = format!("feed {name}");
        let mut entry = audit::entry(requester, &action, Outcome::Done, revision);
        entry.detail.changes = vec![format!(
            "{}: {} -> {}",
            record.by.source,
            counted(before.len(), "entry", "entries"),
            entries.len()
        )];
        let update = FeedUpdate {
            name,
            content: Some(entries),
            record: &record,
        };
        self.store
            .put_feed(update, Some(&entry))
            .map_err(|source| AgentError::Commit { revision, source })?;
        let in_force = self.kernel.commit(prepared, revision);
        let old = std::mem::replace(&mut self.in_force, in_force);
        self.upkeep.revision_made();
        let change = old
            .state
            .rule_count()
            .abs_diff(self.in_force.state.rule_count());
        self.leftovers.rules(change);
        self.leftovers.replaced(old);
        self.confirmation
            .alter_base(|base| set(base, name, entries));
        self.feeds.of_mut(name).record = Some(record);
        tracing::info!(
            feed = %name,
            entries = entries.len(),
            before = before.len(),
            generation = self.in_force.generation,
            "content of a feed in force"
        );
        Ok(())
    }

    /// Stores that the content in force is current.
    fn put_record(&mut self, name: &Name, record: FeedRecord) -> Result<(), AgentError> {
        let update = FeedUpdate {
            name,
            content: None,
            record: &record,
        };
        self.store
            .put_feed(update, None)
            .map_err(|source| AgentError::Store {
                what: "the refresh could not be stored",
                source,
            })?;
        self.feeds.of_mut(name).record = Some(record);
        Ok(())
    }

    /// A refresh failed, or found that what is in force is current.
    ///
    /// # Errors
    /// The caller may not; there is no such feed, it has other settings by now, or it never had
    /// content; the store does not take it.
    pub fn report_feed(
        &mut self,
        name: &str,
        report: &FeedReport,
        requester: Requester,
    ) -> Result<FeedView, AgentError> {
        self.may_feed(requester, &format!("feed {name}"), "report on a feed")?;
        let (name, feed) = self.feed_of(name, Some(&report.version))?;
        let now = self.settings.clock.wall();
        match &report.error {
            Some(error) => {
                tracing::warn!(feed = %name, error, "feed not refreshed");
                self.feeds.of_mut(&name).failed(now, error);
            }
            None => {
                self.upkeep.must_not_be_held(self.in_force.revision)?;
                let known = self.feeds.of(&name);
                let record = known.and_then(|known| known.judged_by(&feed));
                let Some(record) = record.cloned() else {
                    return Err(AgentError::BadRequest(format!(
                        "feed '{name}' has no content yet that could be current"
                    )));
                };
                self.put_record(
                    &name,
                    FeedRecord {
                        checked: now,
                        ..record
                    },
                )?;
                self.feeds.of_mut(&name).error = None;
            }
        }
        self.feeds.of_mut(&name).next = in_future(now, report.next_in);
        self.publish();
        self.feed_view(&name)
    }

    /// Requests a refresh.
    ///
    /// # Errors
    /// The caller may not, or there is no such feed.
    pub fn refresh_feed(
        &mut self,
        name: &str,
        requester: Requester,
    ) -> Result<FeedView, AgentError> {
        let (name, _) = self.feed_of(name, None)?;
        let rights = rights::of(requester.caller, &self.grants);
        let is_owner = self
            .feed_list(&name)
            .is_some_and(|list| rights.owns_list(list));
        if !is_owner {
            let action = format!("refresh feed {name}");
            self.may_feed(requester, &action, "refresh a feed of another owner")?;
        }
        let condition = self.feeds.of_mut(&name);
        condition.requested += 1;
        // A process that reads feeds and begins only now knows no earlier number: to it the feed
        // is due because nothing says when it is.
        condition.next = None;
        self.publish();
        self.feed_view(&name)
    }

    fn may_feed(
        &mut self,
        requester: Requester,
        action: &str,
        what: &str,
    ) -> Result<(), AgentError> {
        let may = rights::require(requester.caller, &self.grants, Privilege::Feed, what);
        may.inspect_err(|error| self.audit_refusal(requester, action, error))
    }

    /// A feed's name and settings, if they have that version.
    fn feed_of(&self, name: &str, expected: Option<&str>) -> Result<(Name, Feed), AgentError> {
        let list = self.in_force.state.list(name);
        let found = list.and_then(|list| Some((list.name.clone(), list.feed.as_deref()?.clone())));
        let Some((name, feed)) = found else {
            return Err(AgentError::NotFound {
                what: format!("unknown feed '{}'", name.escape_debug()),
                hint: "`netpolicy feed list` shows what there is",
            });
        };
        match expected {
            Some(expected) if expected != version(&feed) => Err(AgentError::BadRequest(format!(
                "feed '{name}' has other settings by now: it is to be read again"
            ))),
            _ => Ok((name, feed)),
        }
    }

    fn feed_list(&self, name: &Name) -> Option<&NamedList> {
        let mut lists = self.in_force.state.lists.iter();
        lists.find(|list| list.name == *name)
    }

    fn feed_view(&self, name: &Name) -> Result<FeedView, AgentError> {
        let now = self.settings.clock.wall();
        let views = self.feeds.views(&self.in_force.state, now);
        let found = views.into_iter().find(|view| *view.name == *name.as_str());
        found.ok_or(AgentError::Internal)
    }
}

/// Gives a feed of a state its content.
fn set(state: &mut State, name: &Name, entries: &RuleList) {
    let feeds = state.lists.iter_mut();
    let feeds = feeds.filter(|list| list.name == *name && list.feed.is_some());
    feeds.for_each(|list| list.entries = entries.clone());
}

fn in_future(now: Timestamp, seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

#[cfg(test)]
mod tests;
