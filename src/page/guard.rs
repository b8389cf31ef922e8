//! Checks requests: name of this machine (`Host`), origin and token.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};

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
pub(super) enum Asker {
    /// It has the token, or none is required.
    Known,
    /// It may only see what is not secret.
    Stranger,
}

/// Reason for refusing a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
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

    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<Asker, Refusal> {
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
    pub fn cookie_for(&self, uri: &Uri) -> Option<HeaderValue> {
        let token = self.token.as_ref()?;
        in_query(uri)?;
        // Lax: a link in a chat opens the page; requests from other sites are refused by their origin.
        HeaderValue::from_str(&format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", self.cookie)).ok()
    }
}

/// A header as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
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
