//! `fleet diff`: how revisions differ, or a policy file from one.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use netpolicy_policy::model::{Limits, State};

use super::operator::Operator;
use super::push::{applied, show, state_of};
use super::snapshot::revision;

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// Compare with this policy file
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
    file: Option<PathBuf>,
    /// From this revision instead of the newest
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
    /// To this revision instead of the newest
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
}

/// Runs `fleet diff`.
///
/// # Errors
/// In words.
pub(crate) async fn diff(operator: Operator, args: DiffArgs) -> anyhow::Result<()> {
    let snapshot = operator.snapshot().await?;
    let newest = snapshot
        .head
        .as_ref()
        .map(|head| head.record.newest.revision);
    let newest = newest.context("the fleet has no revision yet")?;
    let state = async |number: u64| -> anyhow::Result<State> {
        if number == 0 {
            return Ok(State::empty());
        }
        let found = revision(&operator.etcd, operator.fleet(), &operator.keys, number).await?;
        Ok(state_of(&operator, &found.root).await?.0)
    };
    let (before, after) = match (&args.file, args.from, args.to) {
        (Some(file), from, _) => {
            let before = state(from.unwrap_or(newest)).await?;
            let after = applied(file, &before, &operator.author, UNBOUNDED)?.0;
            (before, after)
        }
        (None, None, None) => {
            let found = revision(&operator.etcd, operator.fleet(), &operator.keys, newest).await?;
            (
                state(found.parent.unwrap_or(0)).await?,
                state(newest).await?,
            )
        }
        (None, from, to) => (
            state(from.unwrap_or(newest)).await?,
            state(to.unwrap_or(newest)).await?,
        ),
    };
    show(&mut std::io::stdout(), &before, &after, &[])
}

/// What is compared is bounded when it is pushed.
const UNBOUNDED: Limits = Limits {
    policies: usize::MAX,
    rules_per_list: usize::MAX,
};
