//! `netpolicy diff`.

use std::path::PathBuf;

use similar::TextDiff;

use super::apply::read_policy_file;
use super::context::Context;
use super::failure::{Exit, Failure, model_failure};
use super::submit::send;
use crate::api::ChangeQuery;
use crate::model::change::Change;
use crate::model::{ChangeContext, State, file};
use crate::output::DiffView;

/// After this, the difference of long lists may be larger than it need be.
const DIFF_TIME: std::time::Duration = std::time::Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// Compare what is desired now with this policy file; `-` is standard input
    #[arg(long, short, conflicts_with = "from")]
    file: Option<PathBuf>,
    /// The older revision [default: the one before the newest]
    #[arg(value_name = "REV")]
    from: Option<u64>,
    /// The newer revision [default: what is desired now]
    #[arg(value_name = "REV")]
    to: Option<u64>,
    /// Leave out bad lines of list files
    #[arg(long, requires = "file")]
    skip_invalid: bool,
    /// Exit with 1 when they differ, with 0 when not
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(args: DiffArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let exit_code = args.exit_code;
    let view = match args.file {
        Some(path) => with_file(&path, args.skip_invalid, cx).await?,
        None => of_revisions(args.from, args.to, cx).await?,
    };
    cx.print(&view)?;
    Ok(if exit_code && view.differs {
        Exit::Failed
    } else {
        Exit::Done
    })
}

async fn of_revisions(
    from: Option<u64>,
    to: Option<u64>,
    cx: &Context<'_>,
) -> anyhow::Result<DiffView> {
    let from = match from {
        Some(from) => from,
        None => before_newest(cx).await?,
    };
    let old = cx.client.export(Some(from)).await?;
    let new = cx.client.export(to).await?;
    let to = to.map_or_else(|| "now".to_owned(), |to| format!("revision {to}"));
    Ok(view(format!("revision {from}"), to, &old, &new))
}

async fn before_newest(cx: &Context<'_>) -> anyhow::Result<u64> {
    let mut revisions: Vec<u64> = cx
        .client
        .revisions(2)
        .await?
        .iter()
        .map(|r| r.revision)
        .collect();
    revisions.sort_unstable_by(|a, b| b.cmp(a));
    revisions.get(1).copied().ok_or_else(|| {
        Failure::new("there are no two revisions to compare yet")
            .hint("compare with a policy file: netpolicy diff -f FILE")
            .into()
    })
}

async fn with_file(
    path: &std::path::Path,
    skip_invalid: bool,
    cx: &Context<'_>,
) -> anyhow::Result<DiffView> {
    let (file, lists) = read_policy_file(path)?;
    let name = file.name.clone();
    let change = Change::Apply {
        file,
        lists,
        skip_invalid,
        allow_empty: false,
        keep_others: false,
    };
    let query = ChangeQuery {
        dry_run: true,
        force: true,
        ..ChangeQuery::default()
    };
    // The agent goes first: its limits and its word count.
    let plan = send(&change, &query, cx).await?;
    let old = cx.client.export(None).await?;
    let now = ChangeContext {
        now: cx.page.now,
        actor: "",
        limits: cx.config.limits,
        force: true,
    };
    let candidate = State::empty()
        .apply(&change, &now)
        .map_err(|e| model_failure(&e))?;
    let mut view = view("now".into(), name, &old, &file::export(&candidate.state));
    // Where the texts agree and the plan does not, the plan is right.
    view.differs |= !plan.plan.is_empty();
    view.plan = Some(plan);
    Ok(view)
}

fn view(from: String, to: String, old: &str, new: &str) -> DiffView {
    let diff = TextDiff::configure()
        .timeout(DIFF_TIME)
        .diff_lines(old, new);
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&from, &to)
        .to_string();
    DiffView {
        differs: old != new,
        diff: text,
        plan: None,
        from,
        to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        let view = view("revision 1".into(), "now".into(), "a\n", "a\n");
        assert!(!view.differs);
        assert_eq!(view.diff, "");
    }

    #[test]
    fn a_difference_is_a_unified_diff() {
        let view = view("revision 1".into(), "now".into(), "a\nb\n", "a\nc\n");
        assert!(view.differs);
        assert_eq!(
            view.diff,
            "--- revision 1\n+++ now\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        );
    }
}
