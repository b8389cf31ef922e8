//! The gate that every request passes: judged, placed, and its response given the headers that keep other pages out.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connections::Place;
use super::guard::{Asker, Refusal, text};
use super::shared::Shared;

/// Path of the stop; accepted while every place is taken.
pub(super) const STOP: &str = "/stop";

/// Nothing from other origins, nothing inline: the page is three files and its own images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Passes a request on or returns the refusal; every response has the headers that keep other pages out.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let cookie = shared.guard.cookie_for(request.uri());
    let place = request.extensions().get::<ConnectInfo<Place>>().map(|info| info.0.clone());
    let has_body = announces_body(request.headers());
    let mut asker = shared.guard.check(request.uri(), request.headers());
    // A request with the token gets a place. A stop is accepted without one.
    let placed = asker == Ok(Asker::Known) && place.as_ref().is_none_or(Place::take);
    if asker == Ok(Asker::Known) && !placed && request.uri().path() != STOP {
        asker = Err(Refusal::Crowd);
    }
    let mut response = match asker {
        Ok(asker) => {
            let mut response = next.run(request).await;
            if let Some(cookie) = cookie.filter(|_| asker == Asker::Known) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            response
        }
        Err(refusal) => refuse(refusal),
    };
    if let Some(place) = &place {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => place.go_live(),
            _ => place.answered(),
        }
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS && (!placed || has_body) {
        // Close connections that are still in the waiting room, or whose body nothing reads.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Does a body follow the head?
fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || text(headers, &CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn refuse(refusal: Refusal) -> Response {
    let (status, title, words) = match refusal {
        Refusal::Host => (
            StatusCode::FORBIDDEN,
            "Unknown host name",
            "The page is for this machine only: open it as localhost or 127.0.0.1. From another machine, forward the \
             port (ssh -L 8480:localhost:8480 ROBOT) and open it as localhost there.",
        ),
        Refusal::Origin => (
            StatusCode::FORBIDDEN,
            "Request from another site",
            "Only the robot's own page may press its buttons and see its cameras. Nothing was done.",
        ),
        Refusal::Token => (
            StatusCode::UNAUTHORIZED,
            "The token is missing or wrong",
            "Open the whole address that the program printed when it started: it ends in ?token= and the token. \
             A token from an earlier start is no longer right.",
        ),
        Refusal::Crowd => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Every place is taken",
            "Too many connections have shown the token. Close a browser, or end the program that opens them. A stop is \
             heard all the same.",
        ),
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/page.css\"><body class=\"refusal\"><main><h1>{title}</h1><p>{words}</p></main>"
    );
    (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}
