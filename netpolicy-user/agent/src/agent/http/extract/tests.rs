//! Bodies as they come: whole, cut off, too large, too slow, from all sorts of callers.

use std::io;

use axum::body::Body as Sent;
use axum::extract::DefaultBodyLimit;
use futures_util::stream;

use super::*;
use crate::agent::http::quota::Quota;
use crate::agent::http::routes::tests::Agent;
use crate::agent::http::standing::BODIES;

const USER: u32 = 3_999_999_998;

fn request(
    uid: u32,
    standing: Standing,
    query: &str,
    length: Option<usize>,
    body: Sent,
) -> Request {
    let mut request = Request::builder()
        .method("POST")
        .uri(format!("/v1/changes{query}"));
    if let Some(length) = length {
        request = request.header(CONTENT_LENGTH, length);
    }
    let mut request = request.body(body).unwrap();
    let caller = Caller {
        uid,
        gid: uid,
        pid: None,
        person: None,
    };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(standing);
    request
}

fn app() -> App {
    Agent::new().app
}

async fn numbers(app: &App, length: Option<usize>, body: Sent) -> Result<Vec<u8>, HttpError> {
    let body = Body::from_request(request(0, Standing::Admin, "", length, body), app).await?;
    Ok(body.parse()?.0)
}

fn pieces(pieces: [io::Result<&'static str>; 2]) -> Sent {
    Sent::from_stream(stream::iter(pieces))
}

/// Sends nothing, and never ends.
fn silence() -> Sent {
    Sent::from_stream(stream::pending::<io::Result<&'static str>>())
}

#[tokio::test]
async fn body_is_read_whole_whatever_length_was_announced() {
    let app = app();
    for announced in [None, Some(5), Some(2), Some(9_999)] {
        let read = numbers(&app, announced, pieces([Ok("[1,"), Ok("2]")])).await;
        assert_eq!(read.unwrap(), [1, 2], "{announced:?}");
    }
}

#[tokio::test]
async fn body_over_the_route_s_limit_or_cut_off_is_refused() {
    let app = app();
    let large = Sent::from(vec![b' '; 3 << 20]);
    let error = numbers(&app, Some(4), large).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
    let cut = pieces([Ok("[1,"), Err(io::Error::other("gone"))]);
    let error = numbers(&app, Some(5), cut).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the request was not read to its end"),
        "{error}"
    );
}

#[tokio::test]
async fn announced_length_over_the_caller_s_limit_is_refused_before_any_byte_is_read() {
    let app = app();
    for (standing, query, is_forbidden) in [
        (Standing::Reader, "", true),
        (Standing::Reader, "?dry_run=true", false),
        (Standing::Editor, "", false),
    ] {
        let request = request(USER, standing, query, Some(512 << 20), Sent::from("{"));
        let error = Body::from_request(request, &app).await.unwrap_err();
        let (status, body) = (error.status().as_u16(), error.body());
        assert_eq!(status, if is_forbidden { 403 } else { 413 }, "{error}");
        assert!(body.hint.is_some(), "{error}");
    }
}

#[tokio::test]
async fn reader_s_small_change_is_read_so_that_the_refusal_can_name_it() {
    let small = Sent::from("[1]");
    let request = request(USER, Standing::Reader, "", Some(3), small);
    let body = Body::from_request(request, &app()).await.unwrap();
    assert_eq!(body.parse::<Vec<u8>>().unwrap().0, [1]);
}

#[tokio::test(start_paused = true)]
async fn unfinished_bodies_of_one_user_are_bounded_and_leave_room_for_others() {
    let app = app();
    let trial = |uid, length| {
        let query = "?dry_run=true";
        request(uid, Standing::Reader, query, length, silence())
    };
    let waiting = {
        let app = app.clone();
        let request = trial(USER, Some(4 << 20));
        tokio::spawn(async move { Body::from_request(request, &app).await })
    };
    tokio::task::yield_now().await;
    let error = Body::from_request(trial(USER, Some(1)), &app).await;
    assert_eq!(error.unwrap_err().status().as_u16(), 429);
    let other = request(USER + 1, Standing::Reader, "", Some(3), Sent::from("[1]"));
    Body::from_request(other, &app).await.unwrap();
    // It gives up by itself, and what it held is free again.
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(error.status().as_u16(), 408);
    assert!(error.to_string().contains("20 s"), "{error}");
    let whole = request(USER, Standing::Reader, "", Some(3), Sent::from("[1]"));
    Body::from_request(whole, &app).await.unwrap();
}

#[tokio::test]
async fn all_users_together_cannot_use_up_root_s_memory_for_bodies() {
    let mut app = app();
    app.bodies = Quota::new(BODIES);
    let bound = Standing::Editor.bodies();
    let held = [1, 2].map(|uid| app.bodies.take(uid, BODIES / 2, bound).unwrap());
    let other = request(USER, Standing::Editor, "", Some(3), Sent::from("[1]"));
    let error = Body::from_request(other, &app).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 503);
    let root = numbers(&app, Some(3), Sent::from("[1]")).await;
    assert_eq!(root.unwrap(), [1]);
    drop(held);
}

#[tokio::test]
async fn body_without_announced_length_is_counted_as_it_grows() {
    let app = app();
    let piece = vec![b' '; 1 << 20];
    let endless = stream::repeat_with(move || Ok::<_, io::Error>(piece.clone()));
    let mut request = request(
        USER,
        Standing::Reader,
        "?dry_run=true",
        None,
        Sent::from_stream(endless.take(600)),
    );
    // As the route says.
    DefaultBodyLimit::max(usize::MAX).apply(&mut request);
    let error = Body::from_request(request, &app).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 413, "{error}");
    // Nothing is held any more.
    let bound = Standing::Reader.bodies();
    app.bodies.take(USER, bound.each, bound).unwrap();
}
