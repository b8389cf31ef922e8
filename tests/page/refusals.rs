//! Who is kept out.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use visuomotor::page::PageSettings;

use super::client::{Client, ask_text, page, page_with, settings};

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
        let (status, words) = ask_text(page.address(), "GET", path, &[]);
        assert_eq!(status, 401, "{path}");
        assert!(words.contains("The token is missing or wrong"), "{words}");
    }
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[]).0, 401);
    assert_eq!(Client::with_headers(&page, &[]).err(), Some(401));
    assert_eq!(stops.load(Ordering::SeqCst), 0);
    let (status, answer) = ask_text(page.address(), "GET", "/?token=a-token-to-know", &[]);
    assert_eq!(status, 200);
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    Client::with_headers(&page, &[("Cookie", cookie)]).unwrap().state("a state", |_| true);
}

#[test]
fn an_address_others_can_reach_gets_a_token_unasked() {
    let (page, _, _) = page_with(PageSettings { address: "0.0.0.0:0".parse().unwrap(), ..settings() });
    let token = page.url().split_once("?token=").unwrap().1;
    assert_eq!(token.len(), 32);
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], page.address().port()));
    assert_eq!(ask_text(here, "GET", "/", &[]).0, 401);
    assert_eq!(ask_text(here, "GET", &format!("/?token={token}"), &[]).0, 200);
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

/// Connections at a time, as the page promises.
const MOST_CONNECTIONS: usize = 128;

/// The status, unless the connection is closed without an answer.
fn status(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(answer.get(9..12)?).into_owned())
}

#[test]
fn one_connection_too_many_is_closed_and_who_is_in_stays_in() {
    let (page, _, stops) = page();
    let mut client = Client::connect(&page);
    let held: Vec<_> = (1..MOST_CONNECTIONS).map(|_| TcpStream::connect(page.address()).unwrap()).collect();
    assert_eq!(status(page.address()), None);
    client.send(r#"{"stop":true}"#);
    client.until("an answer", |value| value["stopped"] == true);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    drop(held);
    let room = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        status(page.address()).as_deref() == Some("200")
    });
    assert!(room, "no room came back");
}
