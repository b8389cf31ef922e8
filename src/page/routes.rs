//! Routes and their responses.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use super::gate::{STOP, guard};
use super::live;
use super::playback::{Playback, PlaybackError};
use super::shared::Shared;

/// All routes of the page.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page.js"))))
        .route("/live", get(live::live))
        .route(STOP, post(stop))
        .route("/episodes", get(list))
        .route("/episodes/{name}", get(episode))
        .route("/episodes/{name}/{camera}/{step}", get(picture))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here.") })
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

async fn stop(State(shared): State<Arc<Shared>>) -> &'static str {
    shared.operator.stop("page");
    "stopped"
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: usize,
}

async fn list(State(shared): State<Arc<Shared>>, Query(From { from }): Query<From>) -> Response {
    answer(shared, move |playback| playback.list(from)).await
}

async fn episode(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    answer(shared, move |playback| playback.episode(&name)).await
}

async fn picture(
    State(shared): State<Arc<Shared>>,
    Path((name, camera, step)): Path<(String, usize, usize)>,
) -> Response {
    match read(shared, move |playback| playback.picture(&name, camera, step)).await {
        Ok(jpeg) => ([(CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        Err(refused) => refused,
    }
}

async fn answer<T: Serialize + Send + 'static>(
    shared: Arc<Shared>,
    ask: impl FnOnce(&Playback) -> Result<T, PlaybackError> + Send + 'static,
) -> Response {
    match read(shared, ask).await {
        Ok(found) => Json(found).into_response(),
        Err(refused) => refused,
    }
}

/// Reads recordings on a blocking thread: live view and stop do not wait for a disk.
async fn read<T: Send + 'static>(
    shared: Arc<Shared>,
    ask: impl FnOnce(&Playback) -> Result<T, PlaybackError> + Send + 'static,
) -> Result<T, Response> {
    let work = move || shared.playback.as_ref().map_or(Err(PlaybackError::NoFolder), ask);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            let status = match error {
                PlaybackError::Recording(_) | PlaybackError::TooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                PlaybackError::NoFolder | PlaybackError::NoEpisode | PlaybackError::NoPicture => StatusCode::NOT_FOUND,
            };
            Err((status, error.to_string()).into_response())
        }
        Err(_) => Err((StatusCode::INTERNAL_SERVER_ERROR, "The recording could not be read.").into_response()),
    }
}
