//! `netpolicy policy show --hits` and `--unused`.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::context::Context;
use super::failure::Exit;
use super::listing::RuleFilter;
use crate::api::{HitView, HitsQuery, PolicyView, RuleView};
use crate::model::{ListKind, Mode};
use crate::output::{HitLine, HitsReport};

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The policy
    #[arg(value_name = "NAME", required_unless_present = "unused")]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) filter: RuleFilter,
    /// Show how often each rule decided, and when first and last; exceptions decide nothing
    #[arg(long, conflicts_with_all = ["covers", "text", "unused"])]
    pub(super) hits: bool,
    /// Show rules that decided nothing for so long, as in 30d; without NAME, of all policies
    #[arg(long, value_name = "TIME", conflicts_with_all = ["covers", "text"],
        value_parser = humantime::parse_duration)]
    pub(super) unused: Option<Duration>,
}

/// The list, the named list, the rule, and whether none matched.
type HitPlace = (ListKind, Option<String>, Option<String>, bool);

/// Prints hits of one policy, or which rules had none.
pub(super) async fn show(args: &ShowArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => {
            let policies = cx.client.policies().await?.into_iter();
            policies.map(|policy| policy.name).collect()
        }
    };
    let mut report = HitsReport {
        rules: Vec::new(),
        counted_since: cx.options.now,
        unused_since: None,
        incomplete: false,
    };
    let mut observed = Vec::new();
    for name in names {
        let policy = cx.client.policy(&name).await?;
        let mut hits = HashMap::new();
        let mut query = HitsQuery {
            policy: Some(policy.name.clone()),
            limit: Some(HitsQuery::MOST),
            ..HitsQuery::default()
        };
        loop {
            let page = cx.client.hits(&query).await?;
            report.counted_since = page.counted_since;
            report.incomplete |= page.incomplete;
            hits.extend(page.hits.into_iter().filter_map(by_place));
            query.after = page.next;
            if page.next.is_none() {
                break;
            }
        }
        let mut lines = lines(&policy, hits);
        if args.unused.is_some() && policy.mode == Mode::Observe {
            // Of it only what it would deny is counted.
            lines.retain(|line| line.list != ListKind::Allow);
            observed.push(policy.name);
        }
        report.rules.extend(lines);
    }
    if let Some(unused) = args.unused {
        let since = cx.options.now.checked_sub(unused);
        let since = since.unwrap_or(Timestamp::UNIX_EPOCH);
        report.unused_since = Some(since);
        report.rules.retain(|line| {
            let is_hit = line.last_hit.is_some_and(|last| last >= since);
            !is_hit && !line.unmatched
        });
    }
    cx.print(&report)?;
    if report
        .unused_since
        .is_some_and(|since| since < report.counted_since)
    {
        cx.note(&format!(
            "hits are counted since {}: what was hit before is not known",
            report.counted_since.strftime("%Y-%m-%d %H:%M:%S UTC")
        ))?;
    }
    if !observed.is_empty() {
        cx.note(&format!(
            "allow lists of policies that are only observed are left out, since only what these \
             would deny is counted: {}",
            observed.join(", ")
        ))?;
    }
    if report.incomplete {
        cx.note(
            "more rules were hit than are counted one by one: hits of some rules are only in \
             those of their lists",
        )?;
    }
    Ok(Exit::Done)
}

fn by_place(hit: HitView) -> Option<(HitPlace, HitView)> {
    let (named, rule) = (hit.named_list.clone(), hit.rule.clone());
    let place = (hit.list?, named, rule, hit.unmatched);
    Some((place, hit))
}

/// A line for each rule of the policy and each named list; then for what was hit and is there no
/// longer.
fn lines(policy: &PolicyView, mut hits: HashMap<HitPlace, HitView>) -> Vec<HitLine> {
    let mut lines = Vec::new();
    let mut add = |list, named: Option<&String>, rule: Option<&RuleView>| {
        let cidr = rule.map(|rule| rule.cidr.clone());
        let hit = hits.remove(&(list, named.cloned(), cidr, false));
        lines.push(HitLine {
            policy: policy.name.clone(),
            list,
            named_list: named.cloned(),
            rule: rule.map(|rule| rule.text.clone()),
            unmatched: false,
            hits: hit.as_ref().map_or(0, |hit| hit.hits),
            sampled: hit.as_ref().is_some_and(|hit| hit.sampled),
            first_hit: hit.as_ref().map(|hit| hit.first_hit),
            last_hit: hit.as_ref().map(|hit| hit.last_hit),
        });
    };
    for (list, rules, named) in [
        (ListKind::Allow, &policy.allow, &policy.allow_lists),
        (ListKind::Block, &policy.block, &policy.block_lists),
    ] {
        for rule in rules.iter().flatten() {
            add(list, None, Some(rule));
        }
        for name in named {
            add(list, Some(name), None);
        }
    }
    // Entries of named lists, rules that were removed, and what is on no allow list. The whole of
    // a list is the sum of its rules.
    let mut rest: Vec<_> = hits.into_iter().collect();
    rest.sort_by(|(one, _), (other, _)| one.cmp(other));
    let rest = rest
        .into_iter()
        .filter(|((_, _, rule, unmatched), _)| rule.is_some() || *unmatched);
    lines.extend(
        rest.map(|((list, named_list, rule, unmatched), hit)| HitLine {
            policy: policy.name.clone(),
            list,
            named_list,
            rule,
            unmatched,
            hits: hit.hits,
            sampled: hit.sampled,
            first_hit: Some(hit.first_hit),
            last_hit: Some(hit.last_hit),
        }),
    );
    lines
}
