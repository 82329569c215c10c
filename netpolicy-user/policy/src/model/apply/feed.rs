//! Changes to feeds: to their settings. Their content comes by no change.

use super::Worker;
use super::named::NewList;
use crate::model::change::{FeedEdit, ListInput};
use crate::model::error::ListProblem;
use crate::model::{Feed, NamedList};

impl Worker<'_> {
    pub(super) fn create_feed(
        &mut self,
        name: &str,
        settings: &FeedEdit,
        comment: Option<&str>,
    ) -> Option<()> {
        let usual = Feed::new(settings.source.as_deref().unwrap_or_default());
        let feed = self.checked(settings, &usual);
        self.create_list(&NewList {
            name,
            entries: &ListInput::default(),
            comment,
            replace: false,
            rule: None,
            feed,
        })
    }

    pub(super) fn alter_feed(
        &mut self,
        name: &str,
        settings: &FeedEdit,
        comment: Option<&str>,
    ) -> Option<()> {
        let index = self.list(name)?;
        let mut list: NamedList = self.state.lists[index].clone();
        let Some(feed) = &list.feed else {
            let list = list.name.to_string();
            return self.refuse(ListProblem::NoFeed { list }.into());
        };
        list.feed = self.checked(settings, feed);
        if comment.is_some() {
            list.comment = self.comment(comment);
        }
        self.replace_list(index, list);
        Some(())
    }

    /// The feed with these settings; what is wrong with it is reported.
    fn checked(&mut self, settings: &FeedEdit, feed: &Feed) -> Option<Box<Feed>> {
        let feed = settings.of(feed);
        if let Err(problem) = feed.check() {
            self.report.push(problem.into());
        }
        Some(Box::new(feed))
    }
}
