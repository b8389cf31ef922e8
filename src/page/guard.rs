//! Checks requests: name of this machine (`Host`), origin and token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST,
    ORIGIN, REFERRER_POLICY, SET_COOKIE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connections::Place;
use super::routes::STOP;
use super::server::Shared;

/// Nothing from other origins, nothing inline: the page is three files and its own images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Checks requests.
pub(super) struct Guard {
    /// Only this machine can reach the page.
    loopback: bool,
    token: Option<String>,
    /// Name with the port, because cookies do not distinguish ports.
    cookie: String,
}

/// Permission of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// It has the token, or none is required.
    Known,
    /// It may only see what is not secret.
    Stranger,
}

/// Reason for refusing a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Host,
    Origin,
    Token,
    /// Every place is taken.
    Crowd,
}

impl Guard {
    /// For a page that listens on `address`.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { loopback: address.ip().is_loopback(), token, cookie: format!("visuomotor_{}", address.port()) }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<Asker, Refusal> {
        let host = text(headers, &HOST).unwrap_or_default();
        if self.loopback && !names_this_machine(host) {
            return Err(Refusal::Host);
        }
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if place != Some(host) {
                return Err(Refusal::Origin);
            }
        }
        // Links from other sites may only open the page itself.
        let fetched = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        if uri.path() != "/" && fetched.is_some_and(|site| site != "same-origin" && site != "none") {
            return Err(Refusal::Origin);
        }
        // Style and code are not secret, and a browser without cookies should get a styled error page.
        let open = matches!(uri.path(), "/page.css" | "/page.js");
        match &self.token {
            Some(token) if !self.knows(token, uri, headers) => {
                if open {
                    Ok(Asker::Stranger)
                } else {
                    Err(Refusal::Token)
                }
            }
            _ => Ok(Asker::Known),
        }
    }

    fn knows(&self, token: &str, uri: &Uri, headers: &HeaderMap) -> bool {
        let bearer = text(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let cookie = cookies.flat_map(|value| value.split(';')).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        });
        [in_query(uri), bearer, cookie].into_iter().flatten().any(|given| same(given, token))
    }

    /// The cookie that keeps the token after it was given in the address.
    fn cookie_for(&self, uri: &Uri) -> Option<HeaderValue> {
        let token = self.token.as_ref()?;
        in_query(uri)?;
        // Lax: a link in a chat opens the page; requests from other sites are refused by their origin.
        HeaderValue::from_str(&format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie)).ok()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn in_query(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Constant-time comparison.
fn same(given: &str, token: &str) -> bool {
    let differ = given.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | std::hint::black_box(a ^ b));
    given.len() == token.len() && differ == 0
}

/// Is `host` (with or without a port) this machine, under a name that a foreign name server cannot claim?
fn names_this_machine(host: &str) -> bool {
    if let Ok(place) = host.parse::<SocketAddr>() {
        return place.ip().is_loopback();
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return ip.is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(guard: &Guard, uri: &str, pairs: &[(&'static str, &str)]) -> Result<Asker, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        guard.check(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn only_names_of_this_machine_are_accepted() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1:8480", "127.0.0.1", "[::1]:8480", "[::1]", "::1"] {
            assert!(names_this_machine(host), "{host}");
        }
        for host in ["", "evil.example:8480", "localhost.evil.example", "192.168.1.5:8480", "127.0.0.1.evil.example"] {
            assert!(!names_this_machine(host), "{host}");
        }
    }

    #[test]
    fn other_origins_are_refused_and_a_missing_one_is_allowed() {
        let guard = Guard::new("127.0.0.1:8480".parse().unwrap(), None);
        let host = ("host", "localhost:8480");
        assert_eq!(ask(&guard, "/live", &[host]), Ok(Asker::Known));
        assert_eq!(ask(&guard, "/live", &[host, ("origin", "http://localhost:8480")]), Ok(Asker::Known));
        for origin in ["null", "http://evil.example", "http://localhost:8481", "http://localhost:8480.evil.example"] {
            assert_eq!(ask(&guard, "/live", &[host, ("origin", origin)]), Err(Refusal::Origin), "{origin}");
        }
        assert_eq!(ask(&guard, "/episodes", &[host, ("sec-fetch-site", "cross-site")]), Err(Refusal::Origin));
        assert_eq!(ask(&guard, "/", &[host, ("sec-fetch-site", "cross-site")]), Ok(Asker::Known));
        assert_eq!(ask(&guard, "/", &[("host", "evil.example")]), Err(Refusal::Host));
    }

    #[test]
    fn the_token_comes_in_the_address_a_header_or_a_cookie() {
        let guard = Guard::new("192.168.1.5:8480".parse().unwrap(), Some("abcdefgh".into()));
        assert_eq!(ask(&guard, "/", &[]), Err(Refusal::Token));
        assert_eq!(ask(&guard, "/?token=abcdefgX", &[]), Err(Refusal::Token));
        assert_eq!(ask(&guard, "/?token=abcdefgh", &[]), Ok(Asker::Known));
        assert_eq!(ask(&guard, "/live", &[("authorization", "Bearer abcdefgh")]), Ok(Asker::Known));
        assert_eq!(ask(&guard, "/live", &[("cookie", "a=b; visuomotor_8480=abcdefgh")]), Ok(Asker::Known));
        assert_eq!(ask(&guard, "/live", &[("cookie", "visuomotor_8481=abcdefgh")]), Err(Refusal::Token));
        assert_eq!(ask(&guard, "/stop", &[]), Err(Refusal::Token), "stop needs the token");
        for wrong in ["", "abcdefg", "abcdefghi", "Abcdefgh", "abcdefg%68"] {
            assert_eq!(ask(&guard, &format!("/?token={wrong}"), &[]), Err(Refusal::Token), "{wrong}");
        }
        assert_eq!(ask(&guard, "/page.css", &[]), Ok(Asker::Stranger));
        assert_eq!(ask(&guard, "/page.css", &[("cookie", "visuomotor_8480=abcdefgh")]), Ok(Asker::Known));
    }
}
