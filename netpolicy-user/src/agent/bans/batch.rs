//! A batch of requests: what each line comes to.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::never::Never;
use super::outcome::JudgedBan;
use super::request::{BanWork, End, WantedBan, WantedUnban};
use super::summary::BanSummary;
use crate::agent::access::Requester;
use crate::agent::banned::{BanTable, ClockScale, KnownBan, NEVER, StagedBans};
use crate::agent::error::AgentError;
use crate::api::BanResult;
use crate::model::{Name, State};
use crate::store::BanRow;

/// The most bans that there may be at a time.
const MOST: usize = 1 << 20;

/// What a batch of requests comes to, before it is stored.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) staged: StagedBans,
    /// Of callers, by user id: the user database may take its time.
    names: HashMap<u32, String>,
    pub(super) answers: Vec<Result<Vec<JudgedBan>, AgentError>>,
}

/// One request, line by line.
pub(super) struct BatchedRequest<'a> {
    pub(super) table: &'a mut BanTable,
    pub(super) never: &'a Never,
    pub(super) summary: &'a mut BanSummary,
    pub(super) batch: &'a mut Batch,
    pub(super) state: &'a State,
    pub(super) requester: Requester,
    pub(super) scale: ClockScale,
}

impl BatchedRequest<'_> {
    pub(super) fn carry_out(&mut self, work: BanWork) -> Vec<JudgedBan> {
        let operator: Vec<IpAddr> = self.requester.origin.judged().collect();
        match work {
            BanWork::Ban(bans) => bans
                .into_iter()
                .map(|ban| self.ban(ban, None, &operator))
                .collect(),
            BanWork::Unban(bans) => bans.into_iter().map(|ban| self.unban(ban)).collect(),
            BanWork::Replace { by, bans } => {
                let before = self.table.of_origin_with(&self.batch.staged, &by);
                let mut named = HashSet::with_capacity(bans.len());
                let mut answers = Vec::with_capacity(bans.len());
                for ban in bans {
                    // Of an unknown service: it names no ban, least of all one of the host.
                    if let Ok(net) = &ban.net
                        && let Ok(service) = service(self.state, ban.service.as_deref())
                    {
                        named.insert((service, *net));
                    }
                    answers.push(self.ban(ban, Some(&by), &operator));
                }
                for (service, net) in before {
                    if !named.contains(&(service.clone(), net))
                        && self.remove(service.as_ref(), net)
                    {
                        let scope = service.as_ref().map_or("host", Name::as_str);
                        let ended = JudgedBan {
                            source: Ok(net),
                            result: BanResult::Unbanned,
                            until: None,
                            detail: None,
                        };
                        self.summary.add(self.requester, scope, &ended);
                    }
                }
                answers
            }
        }
    }

    fn ban(&mut self, wanted: WantedBan, origin: Option<&str>, operator: &[IpAddr]) -> JudgedBan {
        let outcome = match self.try_ban(&wanted, origin, operator) {
            Ok((net, result, until)) => JudgedBan {
                source: Ok(net),
                result,
                until: (until != NEVER).then(|| self.scale.shown(until)),
                detail: None,
            },
            Err(why) => JudgedBan {
                source: Err(wanted.text),
                result: BanResult::Refused,
                until: None,
                detail: Some(why),
            },
        };
        let scope = wanted.service.as_deref().unwrap_or("host");
        self.summary.add(self.requester, scope, &outcome);
        outcome
    }

    fn try_ban(
        &mut self,
        wanted: &WantedBan,
        origin: Option<&str>,
        operator: &[IpAddr],
    ) -> Result<(IpNet, BanResult, i64), String> {
        let net = wanted.net.clone()?;
        let service = service(self.state, wanted.service.as_deref())?;
        if let Some(why) = self.never.refusal(&net, operator) {
            return Err(why);
        }
        let until = match wanted.end {
            End::Never => NEVER,
            End::After(time) => self.scale.now.saturating_add(time),
            End::At(wall) => self.scale.of_wall(wall),
        };
        if until <= self.scale.now {
            return Err("its end is in the past".to_owned());
        }
        let known = self.known(service.as_ref(), net);
        let before = known.entry();
        let is_earlier = before.is_some_and(|before| until <= before.until);
        // The whole set of an origin says when its bans end, and not when those of others do.
        let is_own = before
            .is_some_and(|before| origin.is_some() && self.table.texts().get(before.by) == origin);
        if let Some(before) = before
            && (until == before.until || is_earlier && !wanted.replace && !is_own)
        {
            return Ok((net, BanResult::Unchanged, before.until));
        }
        if before.is_none() && self.table.len_with(&self.batch.staged) >= MOST {
            return Err(format!(
                "there are {MOST} bans, which is the most: end some, or ban networks"
            ));
        }
        let Batch { staged, names, .. } = &mut *self.batch;
        let caller = self.requester.caller;
        let by = match origin.or(wanted.by.as_deref()) {
            Some(by) => by,
            None => names.entry(caller.uid).or_insert_with(|| caller.name()),
        };
        let row = BanRow {
            source: net,
            service: None,
            since: before.map_or(self.scale.now, |before| before.since),
            until: (until != NEVER).then_some(until),
            by: Some(by),
            reason: wanted.reason.as_deref(),
        };
        self.table.stage(staged, known, service.as_ref(), &row);
        let result = match before {
            None => BanResult::Banned,
            Some(_) => BanResult::Extended,
        };
        Ok((net, result, until))
    }

    fn unban(&mut self, wanted: WantedUnban) -> JudgedBan {
        let net = wanted.net.and_then(|net| {
            let service = service(self.state, wanted.service.as_deref())?;
            Ok((net, service))
        });
        let (source, result, detail) = match net {
            Ok((net, service)) => {
                let other = self.other_origin(service.as_ref(), net, wanted.by.as_deref());
                let result = match other.is_none() && self.remove(service.as_ref(), net) {
                    true => BanResult::Unbanned,
                    false => BanResult::Absent,
                };
                (Ok(net), result, other)
            }
            Err(why) => (Err(wanted.text), BanResult::Refused, Some(why)),
        };
        let outcome = JudgedBan {
            source,
            result,
            until: None,
            detail,
        };
        let scope = wanted.service.as_deref().unwrap_or("host");
        self.summary.add(self.requester, scope, &outcome);
        outcome
    }

    /// That a ban is not of the origin that was named, if it is not.
    fn other_origin(&self, service: Option<&Name>, net: IpNet, by: Option<&str>) -> Option<String> {
        let (wanted, entry) = (by?, self.known(service, net).entry()?);
        let by = self.table.texts().get(entry.by);
        (by != Some(wanted)).then(|| match by {
            Some(by) => format!("it is banned by {by}: that ban stays"),
            None => "it is banned by another: that ban stays".to_owned(),
        })
    }

    fn remove(&mut self, service: Option<&Name>, net: IpNet) -> bool {
        let known = self.known(service, net);
        self.table.stage_removal(&mut self.batch.staged, known)
    }

    fn known(&self, service: Option<&Name>, net: IpNet) -> KnownBan {
        self.table.known(&self.batch.staged, service, net)
    }
}

fn service(state: &State, text: Option<&str>) -> Result<Option<Name>, String> {
    let Some(text) = text else { return Ok(None) };
    match state.service(text) {
        Some(service) => Ok(Some(service.name.clone())),
        None => Err(format!("unknown service '{}'", text.escape_debug())),
    }
}
