//! A change as a body: as JSON, or followed by its texts as they are.

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::{Buf as _, Bytes};

use super::App;
use super::extract::{Body, Incoming, read_with};
use crate::agent::error::AgentError;
use crate::agent::quota::Share;
use crate::api::{CHANGE_WITH_TEXTS, ChangeHead};
use crate::model::Change;

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
    type Rejection = AgentError;

    async fn from_request(request: Request, app: &App) -> Result<Self, AgentError> {
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

/// Reads the change and its texts.
async fn with_texts(
    incoming: &mut Incoming,
) -> Result<(Box<Change>, Vec<Vec<u8>>), AgentError> {
    let mut head = Vec::new();
    let mut piece = Bytes::new();
    let end = loop {
        if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            break end;
        }
        head.extend_from_slice(&piece);
        if head.len() > HEAD_MAX {
            return Err(bad(format!("its first line has more than {HEAD_MAX} bytes")));
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
        return Err(bad(format!("it has {found} texts, expected {expected}")));
    }
    let mut texts = Vec::with_capacity(expected);
    for length in head.texts {
        if length > piece.len() + incoming.left() {
            return Err(bad(format!("a text of {length} bytes is more than there may be")));
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
        return Err(bad("bytes follow its last text"));
    }
    Ok((change, texts))
}

fn bad(why: impl Into<Cow<'static, str>>) -> AgentError {
    let why = why.into();
    AgentError::BadRequest(format!("the request is not as expected: {why}"))
}
