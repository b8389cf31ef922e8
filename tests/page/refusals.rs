//! Refused clients.

use std::sync::atomic::Ordering;

use visuomotor::operator::Operator;
use visuomotor::page::{Page, PageError, PageSettings};

use super::client::{Client, NO_TOKEN, ask_text, page, page_with, settings};

#[test]
fn other_origins_neither_watch_nor_stop() {
    let (page, _, stops) = page();
    for origin in ["http://evil.example", "null", "http://localhost.evil.example"] {
        assert_eq!(Client::with_headers(&page, &[("Origin", origin)]).err(), Some(403), "{origin}");
        assert_eq!(ask_text(page.address(), "POST", "/stop", &[("Origin", origin)]).0, 403, "{origin}");
    }
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[("Sec-Fetch-Site", "cross-site")]).0, 403);
    assert_eq!(stops.load(Ordering::SeqCst), 0);
    let own = format!("http://{}", page.address());
    Client::with_headers(&page, &[("Origin", &own)]).unwrap().state("a state", |_| true);
}

#[test]
fn a_name_that_anybody_can_point_here_is_not_answered() {
    let (page, _, _) = page();
    let port = page.address().port();
    let (status, words) = ask_text(page.address(), "GET", "/", &[("Host", &format!("evil.example:{port}"))]);
    assert_eq!(status, 403);
    assert!(words.contains("localhost"), "{words}");
    assert_eq!(Client::with_headers(&page, &[("Host", "evil.example")]).err(), Some(403));
    assert_eq!(ask_text(page.address(), "GET", "/", &[("Host", &format!("localhost:{port}"))]).0, 200);
}

#[test]
fn without_the_token_there_is_only_an_explanation() {
    let token = Some("a-token-to-know".to_string());
    let (page, _, stops) = page_with(PageSettings { token, ..settings() });
    assert!(page.url().ends_with("/?token=a-token-to-know"), "{}", page.url());
    assert!(!format!("{page:?}").contains("a-token"));
    for path in ["/", "/?token=wrong", "/?token=", "/episodes", "/no/such/page"] {
        let (status, words) = ask_text(page.address(), "GET", path, &[NO_TOKEN]);
        assert_eq!(status, 401, "{path}");
        assert!(words.contains("The token is missing or wrong"), "{words}");
    }
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[NO_TOKEN]).0, 401);
    assert_eq!(Client::with_headers(&page, &[NO_TOKEN]).err(), Some(401));
    assert_eq!(stops.load(Ordering::SeqCst), 0);
    let (status, answer) = ask_text(page.address(), "GET", "/?token=a-token-to-know", &[NO_TOKEN]);
    assert_eq!(status, 200);
    assert!(answer.contains("referrer-policy: no-referrer"), "another site would receive the token: {answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    Client::with_headers(&page, &[("Cookie", cookie)]).unwrap().state("a state", |_| true);
}

/// Every user of a machine reaches its loopback addresses: without a token any of them could drive the arm.
#[test]
fn every_page_gets_a_token_unasked_on_this_machine_too() {
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let (page, _, stops) = page_with(PageSettings { address: address.parse().unwrap(), token: None, ..settings() });
        let token = page.url().split_once("?token=").unwrap().1;
        assert_eq!(token.len(), 32);
        let here = std::net::SocketAddr::from(([127, 0, 0, 1], page.address().port()));
        assert_eq!(ask_text(here, "GET", "/", &[NO_TOKEN]).0, 401);
        assert_eq!(ask_text(here, "POST", "/stop", &[NO_TOKEN]).0, 401);
        assert_eq!(Client::at(here, &[NO_TOKEN]).err(), Some(401));
        assert_eq!(stops.load(Ordering::SeqCst), 0);
        assert_eq!(ask_text(here, "GET", &format!("/?token={token}"), &[NO_TOKEN]).0, 200);
    }
}

#[test]
fn an_open_page_asks_for_no_token_and_is_for_this_machine_alone() {
    let open = PageSettings { open: true, token: None, ..settings() };
    let (page, _, stops) = page_with(open.clone());
    assert!(!page.url().contains("token"), "{}", page.url());
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[NO_TOKEN]).0, 200);
    Client::with_headers(&page, &[NO_TOKEN]).unwrap().state("a state", |_| true);
    // Other sites and other names are still refused.
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[NO_TOKEN, ("Origin", "http://evil.example")]).0, 403);
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[NO_TOKEN, ("Host", "evil.example")]).0, 403);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:0"] {
        let settings = PageSettings { address: address.parse().unwrap(), ..open.clone() };
        let said = Page::start(settings, Operator::new(|_| {})).unwrap_err();
        assert!(matches!(said, PageError::Open { .. }) && said.to_string().contains("--page-open"), "{said}");
    }
}

#[test]
fn every_answer_tells_the_browser_to_keep_others_out() {
    let (page, _, _) = page();
    for path in ["/", "/page.js", "/no/such/page"] {
        let (_, answer) = ask_text(page.address(), "GET", path, &[]);
        let head = answer.split_once("\r\n\r\n").unwrap().0;
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
        assert!(head.contains("frame-ancestors 'none'") && head.contains("x-content-type-options: nosniff"), "{head}");
    }
}

#[test]
fn an_oversized_message_ends_the_connection_and_nobody_elses() {
    let (page, operator, _) = page();
    let (mut client, mut other) = (Client::connect(&page), Client::connect(&page));
    client.state("a state", |_| true);
    client.try_send(format!(r#"{{"wish":"note","text":"{}"}}"#, "x".repeat(1 << 20)));
    client.until_closed();
    assert_eq!(operator.take(|_| true), None);
    other.state("a state", |_| true);
}

#[test]
fn a_flood_of_messages_ends_the_connection() {
    let (page, _, _) = page();
    let mut client = Client::connect(&page);
    for beat in 0..5000 {
        client.try_send(format!(r#"{{"heartbeat":{beat}}}"#));
    }
    client.until_closed();
}
