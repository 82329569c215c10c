//! What `netpolicy doctor` says of the host, for the page.
//!
//! It is examined by this process, with the rights of its user: the same lines as that user's
//! command has, also while no agent answers.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::Semaphore;

use crate::answer::{self, Body, Refusal, refusal};
use crate::settings::Examiner;

/// The report. The host is examined once at a time, whoever asks.
pub(crate) async fn answer(examiner: &Examiner) -> Result<Response<Body>, Refusal> {
    static ROOM: Semaphore = Semaphore::const_new(1);
    let failed = |why: String| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let hint = "`netpolicy doctor` does the same in a terminal";
        refusal(status, "internal", why, Some(hint))
    };
    let permit = ROOM.acquire().await;
    let permit = permit.map_err(|error| failed(error.to_string()))?;
    let examiner = examiner.clone();
    let examined = tokio::task::spawn_blocking(move || {
        let report = examiner.examine();
        // A page that has gone away does not end the examination.
        drop(permit);
        report
    });
    let report = examined.await.map_err(|error| failed(error.to_string()))?;
    let mut answer = Response::new(answer::whole(report.map_err(failed)?));
    let media = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, media);
    Ok(answer)
}
