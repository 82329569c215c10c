//! The options of commands that list what may be long, and its parts one after the other.

use std::io;
use std::net::IpAddr;

use super::context::Context;
use crate::api::{PageQuery, Paged};
use crate::client::ClientError;

/// Which entries are listed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Listing {
    /// List at most N entries
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// List entries that are older than entry N of an earlier listing
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// List entries that contain TEXT; letters match in either case
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

/// Which rules of a policy, or entries of a list, are shown.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RuleFilter {
    /// Show only rules that cover ADDRESS
    #[arg(long, value_name = "ADDRESS")]
    pub(super) covers: Option<IpAddr>,
    /// Show only rules whose text, name or comment contains TEXT; letters match in either case
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

impl RuleFilter {
    /// Whether all are shown.
    pub(super) fn is_empty(&self) -> bool {
        self.covers.is_none() && self.text.is_none()
    }

    /// All that are looked for.
    pub(super) fn listing(&self) -> Listing {
        Listing {
            limit: usize::MAX,
            after: None,
            text: self.text.clone(),
        }
    }
}

/// What was listed, and how much there is.
pub(super) struct Entries<T> {
    pub(super) items: Vec<T>,
    /// What follows, if the limit was reached.
    pub(super) next: Option<u64>,
    total: u64,
}

impl Listing {
    /// Reads entries part by part up to the limit.
    pub(super) async fn read<T>(
        &self,
        part: impl AsyncFn(PageQuery) -> Result<Paged<T>, ClientError>,
    ) -> Result<Entries<T>, ClientError> {
        let mut items = Vec::new();
        let (mut after, mut total) = (self.after, 0);
        loop {
            let wanted = self.limit.saturating_sub(items.len());
            if wanted == 0 {
                break;
            }
            let page = part(PageQuery {
                limit: Some(wanted.min(PageQuery::MOST)),
                after,
                text: self.text.clone(),
            })
            .await?;
            items.extend(page.items);
            (after, total) = (page.next, page.total);
            if after.is_none() {
                break;
            }
        }
        Ok(Entries {
            items,
            next: after,
            total,
        })
    }
}

impl<T> Entries<T> {
    /// Says that there is more.
    pub(super) fn say_rest(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.next {
            Some(next) if !self.items.is_empty() => cx.note(&format!(
                "{} of {} entries; --after {next} lists those that follow",
                self.items.len(),
                self.total
            )),
            _ => Ok(()),
        }
    }
}
