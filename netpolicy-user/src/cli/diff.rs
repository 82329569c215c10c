//! `netpolicy diff`.

use std::path::PathBuf;

use super::apply::read_policy_file;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::input::Input;
use super::list_file::ListTolerance;
use crate::api::{DiffAnswer, RevisionsQuery};
use crate::model::change::Change;
use crate::output::DiffView;

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
    /// Database for country:XX and as:NUMBER in the policy file; may be repeated
    #[arg(long, value_name = "FILE", requires = "file")]
    geo: Vec<PathBuf>,
    /// Exit with 1 when they differ, with 0 when not
    #[arg(long)]
    exit_code: bool,
}

pub(super) async fn run(args: DiffArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let exit_code = args.exit_code;
    let view = match args.file {
        Some(path) => with_file(&path, args.skip_invalid, &args.geo, cx).await?,
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
    let answer = cx.client.diff(from, to).await?;
    let to = to.map_or_else(|| "now".to_owned(), |to| format!("revision {to}"));
    Ok(view(format!("revision {from}"), to, answer))
}

async fn before_newest(cx: &Context<'_>) -> anyhow::Result<u64> {
    let query = RevisionsQuery {
        limit: Some(2),
        ..RevisionsQuery::default()
    };
    let newest = cx.client.revisions(&query).await?.items;
    newest.get(1).map(|before| before.revision).ok_or_else(|| {
        Failure::new("there are no two revisions to compare yet")
            .hint("compare with a policy file: netpolicy diff -f FILE")
            .into()
    })
}

async fn with_file(
    path: &std::path::Path,
    skip_invalid: bool,
    geo: &[PathBuf],
    cx: &Context<'_>,
) -> anyhow::Result<DiffView> {
    let mut input = Input::with_databases(geo, &cx.config);
    let tolerance = ListTolerance {
        skip_invalid,
        allow_empty: false,
    };
    let (file, lists) = read_policy_file(path, tolerance, &mut input)?;
    let name = file.name.clone();
    let change = Change::Apply {
        file,
        lists,
        skip_invalid,
        allow_empty: false,
        keep_others: false,
    };
    let answer = cx.client.diff_change(change).await?;
    Ok(view("now".into(), name, answer))
}

fn view(from: String, to: String, answer: DiffAnswer) -> DiffView {
    let mut diff = answer.diff;
    if !diff.is_empty() {
        diff.insert_str(0, &format!("--- {from}\n+++ {to}\n"));
    }
    DiffView {
        from,
        to,
        differs: answer.differs,
        diff,
        left_out: answer.left_out,
        plan: answer.plan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(diff: &str) -> DiffAnswer {
        DiffAnswer {
            differs: !diff.is_empty(),
            diff: diff.to_owned(),
            left_out: 0,
            plan: None,
        }
    }

    #[test]
    fn equal_states_have_no_diff() {
        let view = view("revision 1".into(), "now".into(), answer(""));
        assert!(!view.differs);
        assert_eq!(view.diff, "");
    }

    #[test]
    fn diff_begins_with_the_names_of_both_files() {
        let hunk = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n";
        let view = view("revision 1".into(), "now".into(), answer(hunk));
        assert!(view.differs);
        assert_eq!(view.diff, format!("--- revision 1\n+++ now\n{hunk}"));
    }
}
