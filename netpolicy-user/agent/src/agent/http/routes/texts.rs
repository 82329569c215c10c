//! A change as a body: as JSON, or followed by its texts as they are.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::{Buf as _, Bytes};
use jiff::Timestamp;

use crate::agent::access::Caller;
use crate::agent::error::AgentError;
use crate::agent::http::app::App;
use crate::agent::http::error::HttpError;
use crate::agent::http::extract::{Body, Incoming, read_with};
use crate::agent::http::quota::Share;
use crate::agent::snapshot::Snapshot;
use crate::api::{CHANGE_WITH_TEXTS, ChangeHead};
use crate::model::{Applied, Change, ChangeContext};

/// Bytes of what stands before the texts.
const HEAD_MAX: usize = 1 << 20;

/// A change, not checked yet, with the memory that it counts for.
#[derive(Debug)]
pub(super) enum ChangeBody {
    Json(Body),
    WithTexts {
        change: Box<Change>,
        texts: Vec<Vec<u8>>,
        share: Share,
    },
}

impl FromRequest<App> for ChangeBody {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &App) -> Result<Self, HttpError> {
        let kind = request.headers().get(CONTENT_TYPE);
        if kind.is_none_or(|kind| kind.as_bytes() != CHANGE_WITH_TEXTS.as_bytes()) {
            return Body::from_request(request, app).await.map(Self::Json);
        }
        let ((change, texts), share) = read_with(request, app, with_texts).await?;
        Ok(Self::WithTexts {
            change,
            texts,
            share,
        })
    }
}

impl ChangeBody {
    /// The change. The share is to be held as long as it is.
    pub(super) fn parse(self) -> Result<(Change, Share), AgentError> {
        match self {
            Self::Json(body) => body.parse(),
            Self::WithTexts {
                mut change,
                texts,
                share,
            } => {
                for (place, text) in change.texts_mut().into_iter().zip(texts) {
                    *place = String::from_utf8(text).map_err(|e| bad(e.to_string()))?;
                }
                Ok((*change, share))
            }
        }
    }
}

impl ChangeBody {
    /// The state as it is, and as the change would make it: checked as any change, and not made.
    ///
    /// # Errors
    /// As those of the change.
    pub(super) fn try_out(
        self,
        app: &App,
        caller: &Caller,
    ) -> Result<(Arc<Snapshot>, Applied), AgentError> {
        let (change, _share) = self.parse()?;
        let snapshot = app.supervisor.snapshot();
        let cx = ChangeContext {
            now: Timestamp::now(),
            actor: &caller.name(),
            limits: app.running.borrow().config.limits,
            force: true,
        };
        let applied = snapshot.state.try_out(&change, &cx)?;
        Ok((snapshot, applied))
    }
}

/// Reads the change and its texts.
async fn with_texts(incoming: &mut Incoming) -> Result<(Box<Change>, Vec<Vec<u8>>), HttpError> {
    let mut head = Vec::new();
    let mut piece = Bytes::new();
    let end = loop {
        if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            break end;
        }
        head.extend_from_slice(&piece);
        if head.len() > HEAD_MAX {
            return Err(bad(format!("its first line has more than {HEAD_MAX} bytes")).into());
        }
        let next = incoming.next().await?;
        piece = next.ok_or_else(|| bad("it has no line that ends"))?;
    };
    head.extend_from_slice(&piece.split_to(end));
    piece.advance(1);
    let head: ChangeHead = serde_json::from_slice(&head).map_err(|e| bad(e.to_string()))?;
    let mut change = Box::new(head.change);
    let expected = change.texts_mut().len();
    if head.texts.len() != expected {
        let found = head.texts.len();
        return Err(bad(format!("it has {found} texts, expected {expected}")).into());
    }
    let mut texts = Vec::with_capacity(expected);
    for length in head.texts {
        if length > piece.len() + incoming.left() {
            return Err(bad(format!(
                "a text of {length} bytes is more than there may be"
            ))
            .into());
        }
        let mut text = Vec::with_capacity(length);
        loop {
            let taken = piece.split_to(piece.len().min(length - text.len()));
            text.extend_from_slice(&taken);
            if text.len() == length {
                break;
            }
            let next = incoming.next().await?;
            piece = next.ok_or_else(|| bad("it ends within a text"))?;
        }
        texts.push(text);
    }
    if !piece.is_empty() || incoming.next().await?.is_some() {
        return Err(bad("bytes follow its last text").into());
    }
    Ok((change, texts))
}

fn bad(why: impl Into<Cow<'static, str>>) -> AgentError {
    let why = why.into();
    AgentError::BadRequest(format!("the request is not as expected: {why}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Agent;
    use super::*;
    use crate::agent::http::standing::Standing;
    use crate::model::SourceText;

    async fn read(body: Vec<u8>, pieces: usize) -> Result<Change, String> {
        let pieces: Vec<_> = body.chunks(pieces).map(Bytes::copy_from_slice).collect();
        let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
        let sent = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
        let request = Request::builder().method("POST").uri("/v1/diff");
        let request = request.header(CONTENT_TYPE, CHANGE_WITH_TEXTS);
        let mut request = request.body(sent).unwrap();
        request.extensions_mut().insert(Caller::root());
        request.extensions_mut().insert(Standing::Admin);
        let body = ChangeBody::from_request(request, &Agent::new().app).await;
        let change = body.and_then(|body| Ok(body.parse()?));
        change.map(|(change, _)| change).map_err(|e| e.to_string())
    }

    fn file(name: &str, text: &str) -> SourceText {
        SourceText {
            name: name.into(),
            text: text.into(),
        }
    }

    fn apply(texts: [&str; 3]) -> Change {
        Change::Apply {
            file: file("p.toml", texts[0]),
            lists: vec![file("a", texts[1]), file("b", texts[2])],
            skip_invalid: false,
            allow_empty: false,
            keep_others: false,
        }
    }

    fn body(texts: &[usize], rest: &[u8]) -> Vec<u8> {
        let head = ChangeHead {
            change: apply(["", "", ""]),
            texts: texts.to_vec(),
        };
        [&serde_json::to_vec(&head).unwrap(), &b"\n"[..], rest].concat()
    }

    #[tokio::test]
    async fn texts_are_those_that_follow_however_they_arrive() {
        let rest = "# \u{e4}\n{}\n10.0.0.1\n".as_bytes();
        for pieces in [1, 2, 3, 7, 64, 100_000] {
            let read = read(body(&[5, 3, 9], rest), pieces).await;
            assert_eq!(read.unwrap(), apply(["# \u{e4}\n", "{}\n", "10.0.0.1\n"]));
        }
        assert_eq!(
            read(body(&[0, 0, 0], b""), 9).await.unwrap(),
            apply(["", "", ""])
        );
    }

    #[tokio::test]
    async fn body_that_is_not_what_its_head_says_is_refused() {
        for (body, why) in [
            (body(&[1, 1], b"ab"), "it has 2 texts, expected 3"),
            (body(&[1, 1, 2], b"abc"), "it ends within a text"),
            (body(&[1, 1, 1], b"abcd"), "bytes follow its last text"),
            (
                body(&[usize::MAX, 1, 1], b"abc"),
                "is more than there may be",
            ),
            (body(&[1, 1, 1], b"a\xffc"), "invalid utf-8"),
            (b"{}\n".to_vec(), "missing field"),
            (b"{}".to_vec(), "it has no line that ends"),
            (vec![b' '; 2 << 20], "its first line has more than"),
        ] {
            let error = read(body, 1000).await.unwrap_err();
            assert!(
                error.starts_with("the request is not as expected: ") && error.contains(why),
                "{error}, expected {why}"
            );
        }
    }

    #[test]
    fn texts_of_every_change_with_files_are_found() {
        use crate::model::{ListEdit, ListInput};
        let list = |name: &str| ListInput {
            files: vec![file(name, name)],
            ..ListInput::default()
        };
        let mut change = Change::AlterPolicy {
            name: "a".into(),
            allow: ListEdit::Set { list: list("1") },
            block: ListEdit::Edit {
                add: list("2"),
                remove: list("3"),
            },
            comment: None,
            except: Default::default(),
            compat: Default::default(),
        };
        let found: Vec<_> = change
            .texts_mut()
            .into_iter()
            .map(|text| text.clone())
            .collect();
        assert_eq!(found, ["1", "2", "3"]);
        assert_eq!(change.text_len(), 3);
    }
}
