//! The impact of a change, before it is made: on the operator and on connected clients; and the
//! end of their connections once it is made. It changes nothing that is stored or in force.

use super::at_end;
use super::clients::{self, ClientSearch, Judge, Side};
use super::lockout::check_operator;
use super::situation::{Candidate, Situation};
use crate::agent::access::Requester;
use crate::agent::banned;
use crate::agent::change::ChangeOptions;
use crate::agent::error::{AgentError, chain};
use crate::api::{Changed, ClientsView, Existing};
use crate::model::State;
use crate::model::effect::{Becomes, Effect};

impl Situation<'_> {
    /// Checks the operator's own address, and the clients that are connected.
    pub(super) fn check_impact(
        &self,
        candidate: &mut Candidate,
        requester: Requester,
        options: ChangeOptions,
    ) -> Result<(), AgentError> {
        // The lists say nothing of bypasses: a port that moves to another service may leave one
        // behind.
        let may_deny = candidate.digest != self.in_force.digest
            && (candidate.may_deny || !self.bypasses.is_empty())
            || !banned::read(&self.published.bans).is_empty()
                && bans_reach_otherwise(&self.in_force.state, &candidate.state);
        let changed = &mut candidate.changed;
        let wants_cut = options.existing == Some(Existing::Cut);
        let again = changed.plan.is_empty() && wants_cut;
        let judge = Judge {
            old: self.side(),
            new: Side {
                rules: candidate.compiled.ruleset(),
                state: &candidate.state,
                bypasses: self.bypasses,
            },
            now: self.now,
            bans: Some(&self.published.bans),
        };
        if let Err(lockout) = check_operator(&judge, requester.origin) {
            if options.dry_run || options.force {
                changed.warnings.push(if options.force {
                    format!("{lockout}; applied anyway (--force)")
                } else {
                    would_be(&lockout)
                });
            } else {
                return Err(lockout);
            }
        }
        if !changed.plan.is_empty() {
            let later = at_end::warnings(&judge, requester.origin);
            changed.warnings.extend(later);
        }
        if !may_deny && !again {
            return Ok(());
        }
        let denies = |effect: &Effect| effect.becomes == Becomes::Denied;
        let denies = changed.effects.iter().any(denies);
        if denies {
            changed.operator = Some(requester.origin.view());
        }
        let wanted = ClientSearch {
            interfaces: self.interfaces,
            all: again,
        };
        let found = clients::judge(self.sockets, &judge, wanted);
        let mut clients = match found {
            Ok(clients) => clients,
            Err(error) if options.strict || wants_cut => {
                return Err(AgentError::Sockets {
                    what: "the connected clients are not known",
                    source: error,
                });
            }
            Err(error) => {
                let error = chain(&error);
                changed.warnings.push(format!(
                    "which connected clients would be denied is not known: {error}"
                ));
                return Ok(());
            }
        };
        if options.strict && !clients.view.denied.is_empty() {
            let error = AgentError::DeniesClients(clients.view.clone());
            if !options.dry_run {
                return Err(error);
            }
            changed.warnings.push(would_be(&error));
        }
        if wants_cut {
            clients.view.existing = Existing::Cut;
            clients.view.closed = clients.denied_connections();
            clients.view.syn_cookies_sent = self.sockets.syn_cookies_sent();
        }
        // Where no source becomes denied, connected clients are of no interest.
        if denies || again || !clients.denied.is_empty() {
            changed
                .operator
                .get_or_insert_with(|| requester.origin.view());
            changed.clients = Some(clients.view);
        }
        Ok(())
    }

    /// Closes the connections of clients that a change has denied, where that was requested.
    /// `all`: of all who are denied, since nothing changed.
    ///
    /// Searches again: until the flip more may have come in. And once more, since
    /// an attempt that had passed before may become a connection just now.
    pub(in crate::agent) fn cut(&self, old: Side<'_>, all: bool, changed: &mut Changed) {
        const ROUNDS: usize = 2;
        let wanted = |view: &&mut ClientsView| view.existing == Existing::Cut;
        let Some(view) = changed.clients.as_mut().filter(wanted) else {
            return;
        };
        view.closed = 0;
        view.syn_cookies_sent = self.sockets.syn_cookies_sent();
        let judge = Judge {
            old,
            new: self.side(),
            now: self.now,
            bans: Some(&self.published.bans),
        };
        let wanted = ClientSearch {
            interfaces: self.interfaces,
            all,
        };
        let mut left = Vec::new();
        for _ in 0..ROUNDS {
            match clients::denied(self.sockets, &judge, wanted) {
                Ok(denied) => {
                    let ended = self.sockets.cut(&denied);
                    let over_since = clients::add_left(&mut left, ended.left);
                    view.closed += ended.closed + over_since;
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(error, "open connections cannot be listed");
                    changed.warnings.push(format!(
                        "the change is in force, but connections of denied sources may still \
                         be open: {error}"
                    ));
                    break;
                }
            }
        }
        view.not_closed = clients::not_closed(&left);
        for left in &view.not_closed {
            tracing::warn!(
                source = %left.source,
                port = left.port,
                connections = left.connections,
                reason = left.reason,
                "connections of a denied source are open"
            );
        }
    }
}

/// Whether bans may deny on other ports than before, which the lists say nothing of.
fn bans_reach_otherwise(old: &State, new: &State) -> bool {
    old.host.mode != new.host.mode
        || old.host.failsafe_ports != new.host.failsafe_ports
        || old.services != new.services
}

/// A refusal, where nothing is made in any case.
pub(in crate::agent) fn would_be(error: &AgentError) -> String {
    format!("this would be refused: {error}")
}
