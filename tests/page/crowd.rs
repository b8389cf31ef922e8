//! A stop reaches the arm however many others have connected.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

use visuomotor::page::PageSettings;

use super::client::{Client, NO_TOKEN, TOKEN, ask_text, page, page_with, settings, stream};

/// Connections with the token that one address may have, as the page documents.
const MOST_OF_ONE_PEER: usize = 96;

/// Tests open more files than the usual limit of 1024.
fn many_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is room for one `rlimit` and lives through both calls.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max.min(8192);
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    assert!(raised && limit.rlim_cur > 3000, "{} files at most: raise ulimit -n", limit.rlim_cur);
}

/// Connections that have each sent these bytes and send no more.
fn half_open(address: SocketAddr, count: usize, said: &str) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = stream(address).unwrap();
        // One that was closed already accepts none.
        let _ = stream.write_all(said.as_bytes());
        stream
    };
    (0..count).map(open).collect()
}

/// Stops by both ways while others are connected.
fn stop_gets_through(count: usize, said: &str) {
    many_files();
    let (page, _, stops) = page();
    let mut watching = Client::connect(&page);
    watching.state("a state", |_| true);
    let held = half_open(page.address(), count, said);
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[]).0, 200);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    watching.send(r#"{"stop":true}"#);
    watching.until("an answer", |value| value["stopped"] == true);
    assert_eq!(stops.load(Ordering::SeqCst), 2);
    // New connections are served as well.
    Client::connect(&page).state("a state", |_| true);
    drop(held);
}

/// As many silent connections as there were places once locked out the stop.
#[test]
fn a_stop_gets_through_128_half_open_connections() {
    stop_gets_through(128, "");
}

#[test]
fn a_stop_gets_through_1000_half_open_connections() {
    stop_gets_through(1000, "");
}

#[test]
fn a_stop_gets_through_1000_half_said_requests() {
    stop_gets_through(1000, "POST /stop HTTP/1.1\r\nHost: localhost\r\nX-Slowly: a");
}

#[test]
fn a_stop_gets_through_1000_bodies_that_do_not_come() {
    stop_gets_through(1000, "POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\na");
}

/// With the token, and still a body that never comes.
#[test]
fn a_body_is_not_waited_for() {
    let (page, _, stops) = page();
    let with = |method: &str, path: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
        let mut slow = stream(page.address()).unwrap();
        slow.write_all(format!("{head}Content-Length: 100000\r\n\r\na").as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Ends with the connection; unread parts of the body may end it abruptly.
        let _ = slow.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = with("POST", "/stop");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    assert!(with("GET", "/").contains("connection: close"));
}

#[test]
fn a_stop_needs_no_free_place() {
    let (page, _, stops) = page();
    let head = format!("GET /no/such HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let placed: Vec<_> = (0..MOST_OF_ONE_PEER)
        .map(|_| {
            let mut stream = half_open(page.address(), 1, &head).remove(0);
            // It got a reply: it has a place, and keeps it.
            assert!(stream.read(&mut [0; 16]).unwrap() > 0);
            stream
        })
        .collect();
    let (status, words) = ask_text(page.address(), "GET", "/", &[]);
    assert_eq!(status, 503);
    assert!(words.contains("Every place is taken"), "{words}");
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[]).0, 200);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[NO_TOKEN]).0, 401);
    drop(placed);
    let room = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        ask_text(page.address(), "GET", "/", &[]).0 == 200
    });
    assert!(room, "no place became free");
}

#[test]
fn who_does_not_show_the_token_in_time_is_closed_whatever_it_sends() {
    let (page, _, _) = page_with(PageSettings { shown_within: Duration::from_millis(200), ..settings() });
    let mut watching = Client::connect(&page);
    let silent = stream(page.address()).unwrap();
    let mut slow = stream(page.address()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slowly: ").unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let closed = (0..1000).any(|_| {
        let written = slow.write_all(b"a").is_err();
        let read = slow.read(&mut [0; 64]);
        // Nothing within the time-out is the only sign of an open connection.
        let open = matches!(&read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        written || !open
    });
    assert!(closed, "a head that comes byte by byte is waited for");
    let mut silent = silent;
    let said = silent.read(&mut [0; 64]);
    assert!(matches!(said, Ok(0)) || said.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock));
    // A connection that has sent it stays.
    watching.state("a state", |_| true);
    watching.state("another", |_| true);
}
