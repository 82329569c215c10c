//! A batch of requests: what each line comes to.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use jiff::Timestamp;

use super::never::Never;
use super::outcome::JudgedBan;
use super::request::{BanWork, End, WantedBan, WantedUnban};
use super::summary::BanSummary;
use crate::agent::access::Requester;
use crate::agent::banned::{
    BanTable, ClockScale, KnownBan, NEVER, OriginBans, OriginFilter, StagedBans, is_scope,
};
use crate::agent::error::AgentError;
use crate::api::BanResult;
use crate::model::{Name, State};
use crate::store::BanRow;

/// Lines of a request that are worth to be put in order.
const MANY: usize = 1_024;

/// The most bans that there may be at a time.
const MOST: usize = 1 << 20;

/// What a batch of requests comes to, before it is stored.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) staged: StagedBans,
    /// Of callers, by user id: the user database may take its time.
    names: HashMap<u32, String>,
    pub(super) answers: Vec<Result<Vec<JudgedBan>, AgentError>>,
    /// Requests that are carried out: letting go of many takes a while, and can wait.
    pub(super) done: Vec<Vec<WantedBan>>,
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
            BanWork::Ban(bans) => self.ban_all(bans, None, &operator),
            BanWork::Unban(bans) => bans.into_iter().map(|ban| self.unban(ban)).collect(),
            BanWork::Replace { of, bans } => {
                let by = OriginFilter {
                    name: &of.by,
                    with_parts: of.with_parts,
                };
                let mut before = self.table.of_origin_with(&self.batch.staged, by);
                before.retain(|(service, _)| is_scope(of.service.as_deref(), service.as_ref()));
                // Of an unknown service: it names no ban, least of all one of the host.
                let named = bans.iter().filter_map(|ban| {
                    let net = ban.net.as_ref().ok()?;
                    let service = service(self.state, ban.service.as_deref()).ok()?;
                    Some((service, *net))
                });
                let named: HashSet<_> = named.collect();
                let answers = self.ban_all(bans, Some(&of.by), &operator);
                for (service, net) in before {
                    if named.contains(&(service.clone(), net)) {
                        continue;
                    }
                    if let (BanResult::Unbanned, _) = self.end(service.as_ref(), net, Some(by)) {
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

    /// The lines of a request, whose answers are in their order. Many are carried out in the order
    /// of their networks, so that what is looked at and changed is next to what was before; those
    /// of one network in the order in which they came.
    fn ban_all(
        &mut self,
        bans: Vec<WantedBan>,
        origin: Option<&str>,
        operator: &[IpAddr],
    ) -> Vec<JudgedBan> {
        let answers = if bans.len() < MANY {
            let answers = bans.iter().map(|ban| self.ban(ban, origin, operator));
            answers.collect()
        } else {
            let mut order: Vec<(u64, usize)> = bans.iter().map(place).zip(0..).collect();
            order.sort_unstable();
            let mut answers = vec![JudgedBan::default(); bans.len()];
            for (_, at) in order {
                answers[at] = self.ban(&bans[at], origin, operator);
            }
            answers
        };
        self.batch.done.push(bans);
        answers
    }

    fn ban(&mut self, wanted: &WantedBan, origin: Option<&str>, operator: &[IpAddr]) -> JudgedBan {
        let mut stored = None;
        let outcome = match self.try_ban(wanted, origin, operator) {
            Ok(line) => {
                stored = line.stored;
                JudgedBan {
                    source: Ok(line.net),
                    result: line.result,
                    until: self.shown(line.until),
                    detail: None,
                }
            }
            Err(why) => JudgedBan {
                source: Err(wanted.text.clone()),
                result: BanResult::Refused,
                until: None,
                detail: Some(why),
            },
        };
        let scope = wanted.service.as_deref().unwrap_or("host");
        match stored {
            // The source is banned as long as before, and by one more origin.
            Some(until) if outcome.result == BanResult::Unchanged => {
                let extended = JudgedBan {
                    result: BanResult::Extended,
                    until: self.shown(until),
                    ..outcome.clone()
                };
                self.summary.add(self.requester, scope, &extended);
            }
            _ => self.summary.add(self.requester, scope, &outcome),
        }
        outcome
    }

    fn shown(&self, until: i64) -> Option<Timestamp> {
        (until != NEVER).then(|| self.scale.shown(until))
    }

    fn try_ban(
        &mut self,
        wanted: &WantedBan,
        origin: Option<&str>,
        operator: &[IpAddr],
    ) -> Result<JudgedLine, String> {
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
        let caller = self.requester.caller;
        let names = &mut self.batch.names;
        let by = match origin.or(wanted.by.as_deref()) {
            Some(by) => by,
            None => names.entry(caller.uid).or_insert_with(|| caller.name()),
        };
        let row = BanRow {
            source: net,
            service: None,
            since: self.scale.now,
            until: (until != NEVER).then_some(until),
            by: Some(by),
            reason: wanted.reason.as_deref(),
        };
        let staged = &mut self.batch.staged;
        if let Some(before) = known.entry() {
            let end = match origin {
                // The whole set of an origin says when its bans end, and not when others' do.
                Some(_) => EarlierEnd::OfItsOwn,
                None if wanted.replace => EarlierEnd::OfAll,
                None => EarlierEnd::No,
            };
            let after = extend(self.table, staged, known, &row, end, self.scale.now);
            return Ok(JudgedLine {
                net,
                result: match after.until == before.until {
                    true => BanResult::Unchanged,
                    false => BanResult::Extended,
                },
                until: after.until,
                stored: after.stored,
            });
        }
        if self.table.len_with(staged) >= MOST {
            return Err(format!(
                "there are {MOST} bans, which is the most: end some, or ban networks"
            ));
        }
        self.table.stage(staged, known, service.as_ref(), &row);
        Ok(JudgedLine {
            net,
            result: BanResult::Banned,
            until,
            stored: Some(until),
        })
    }

    fn unban(&mut self, wanted: WantedUnban) -> JudgedBan {
        let net = wanted.net.and_then(|net| {
            let service = service(self.state, wanted.service.as_deref())?;
            Ok((net, service))
        });
        let (source, result, detail) = match net {
            Ok((net, service)) => {
                let (result, detail) = {
                    let by = wanted.by.as_deref().map(|name| OriginFilter {
                        name,
                        with_parts: true,
                    });
                    self.end(service.as_ref(), net, by)
                };
                (Ok(net), result, detail)
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

    /// Ends the bans of a source, or only those of an origin; and what is to be known then.
    fn end(
        &mut self,
        service: Option<&Name>,
        net: IpNet,
        by: Option<OriginFilter<'_>>,
    ) -> (BanResult, Option<String>) {
        let known = self.known(service, net);
        let staged = &mut self.batch.staged;
        if known.entry().is_none() {
            return (BanResult::Absent, None);
        }
        let Some(by) = by else {
            self.table.stage_removal(staged, known);
            return (BanResult::Unbanned, None);
        };
        let mut left = self.table.origins_of(staged, known);
        let texts = self.table.texts();
        let has_own = left.remove_all(|of| texts.get(of).is_some_and(|of| by.matches(of)));
        let left = left.unexpired(self.scale.now);
        if has_own {
            self.table.stage_bans(staged, known, &left);
        }
        let other = left.first().map(|other| {
            let other_by = self.table.texts().get(other.by).unwrap_or("another");
            match other.until {
                NEVER => format!("it is banned by {other_by}, without end: that ban stays"),
                until => {
                    let until = self.scale.shown(until);
                    format!("it is banned by {other_by} until {until}: that ban stays")
                }
            }
        });
        match has_own {
            true => (BanResult::Unbanned, other),
            false => (BanResult::Absent, other),
        }
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

/// Where a network is in the order of all, or near that place.
fn place(ban: &WantedBan) -> u64 {
    match ban.net {
        Ok(IpNet::V4(net)) => {
            u64::from(u32::from(net.network())) << 8 | u64::from(net.prefix_len())
        }
        Ok(IpNet::V6(net)) => 1 << 63 | high_half(net.network()) >> 1,
        Err(_) => u64::MAX,
    }
}

fn high_half(address: Ipv6Addr) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What a line that bans comes to.
struct JudgedLine {
    net: IpNet,
    result: BanResult,
    /// When the source's bans end.
    until: i64,
    /// When the ban ends that is stored for it; `None`: none is.
    stored: Option<i64>,
}

/// When a source's bans end once it is banned again, and the ban that is stored for that.
struct Extension {
    until: i64,
    stored: Option<i64>,
}

/// Whose earlier end a request asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EarlierEnd {
    /// Of none: only a later end counts.
    No,
    /// Of its own origin's.
    OfItsOwn,
    /// Of all bans of the source.
    OfAll,
}

/// Gives a source that is banned one more ban, or its origin's another end.
fn extend(
    table: &mut BanTable,
    staged: &mut StagedBans,
    known: KnownBan,
    row: &BanRow<'_>,
    earlier: EarlierEnd,
    now: i64,
) -> Extension {
    let as_before = |until| Extension {
        until,
        stored: None,
    };
    let before = table.origins_of(staged, known);
    let Some(first) = before.first() else {
        return as_before(NEVER);
    };
    let until = row.until.unwrap_or(NEVER);
    let own = row.by.and_then(|by| table.texts().find(by));
    let own = own.and_then(|by| before.by(by));
    let is_known = match earlier {
        EarlierEnd::No => own.is_some_and(|own| until <= own.until),
        EarlierEnd::OfItsOwn => own.is_some_and(|own| until == own.until),
        EarlierEnd::OfAll => own.is_some_and(|own| until == own.until && before.is_only_by(own.by)),
    };
    if is_known {
        return as_before(first.until);
    }
    let is_in_force = until > first.until || earlier == EarlierEnd::OfAll;
    let row = BanRow {
        since: match own {
            Some(own) => own.since,
            None if is_in_force => first.since,
            None => row.since,
        },
        ..*row
    };
    // Too many to tell apart: those that end last stay.
    let is_full = table.count_with(staged) >= MOST && own.is_none();
    let others = match earlier {
        EarlierEnd::OfAll => OriginBans::default(),
        _ if is_full && !is_in_force => return as_before(first.until),
        _ if is_full => OriginBans::default(),
        _ => before.unexpired(now),
    };
    let after = table.stage_next_to(staged, known, others, &row);
    Extension {
        until: after.map_or(until, |after| after.until),
        stored: Some(until),
    }
}
