//! Live data and their delivery.

use std::sync::atomic::Ordering;

use visuomotor::episode::StepSink;
use visuomotor::operator::{Phase, Wish};
use visuomotor::page::{JointRange, Page, PageError};

use super::client::{Client, ask_text, page, settings};
use super::synthetic::{self, Feed};

#[test]
fn state_curve_and_pictures_arrive() {
    let (page, operator, _) = page();
    operator.show(|panel| {
        panel.phase = Phase::Running;
        panel.action_source = "policy B".into();
        panel.prompt = "watch the arm".into();
    });
    page.joint_ranges(vec![JointRange { name: "waist".into(), low: -3.1, high: 3.1 }]);
    let mut sink = page.sink();
    let mut feed = Feed::default();
    sink.episode_started(&synthetic::start("episode_0001")).unwrap();
    let mut client = Client::connect(&page);
    for _ in 0..3 {
        feed.step(&mut sink).unwrap();
    }
    page.curve_point(0.2, 8.5);
    let seen = client.state("three steps", |value| value["state"]["episode"]["steps"] == 3);
    let state = &seen["state"];
    assert_eq!(state["panel"]["phase"], "running");
    assert_eq!(state["panel"]["action_source"], "policy B");
    assert_eq!(state["joints"][0]["name"], "waist");
    assert_eq!(state["joints"][0]["low"], -3.1);
    assert_eq!(state["joints"][1]["name"], "shoulder", "the episode names the joints that have no range");
    assert_eq!(state["gauges"][3]["count"], 30);
    assert_eq!(state["asked"].as_array().unwrap().len(), 7);
    assert_eq!(state["cameras"][0]["name"], "front");
    let picture = client.picture();
    assert_eq!((picture[0] < 2, &picture[1..3]), (true, &[0xff, 0xd8][..]));
    let latecomer = Client::connect(&page).state("the whole curve", |_| true);
    assert_eq!(latecomer["view"]["curve"]["points"][0], serde_json::json!([0.2, 8.5]));
    sink.episode_ended(&synthetic::end(3)).unwrap();
    let over = client.state("the end", |value| value["state"]["episode"]["running"] == false);
    assert_eq!(over["state"]["episode"]["outcome"]["outcome"], "success");
}

#[test]
fn only_new_points_of_the_curve_are_sent() {
    let (page, _, _) = page();
    let mut client = Client::connect(&page);
    page.curve_point(0.0, 9.0);
    client.state("a first point", |value| value["view"]["curve"]["points"] == serde_json::json!([[0.0, 9.0]]));
    page.curve_point(0.2, 8.0);
    let next = client.state("a second", |value| value["view"]["curve"]["points"] != serde_json::json!([]));
    assert_eq!(next["view"]["curve"]["points"], serde_json::json!([[0.2, 8.0]]));
    assert_eq!(next["view"]["curve"]["from"], 1);
    page.sink().episode_started(&synthetic::start("next")).unwrap();
    client.state("an empty curve", |value| value["view"]["curve"]["generation"] == 1);
}

#[test]
fn wishes_reach_the_operator() {
    let (page, operator, _) = page();
    let mut client = Client::connect(&page);
    client.send(r#"{"wish":"accept"}"#);
    assert_eq!(client.answer("accepted"), "accept");
    client.send(r#"{"wish":"note","text":"the cloth slipped"}"#);
    assert_eq!(client.answer("accepted"), "note");
    assert_eq!(operator.take(|_| true), Some((Wish::Accept, "page".into())));
    assert_eq!(operator.take(|_| true).unwrap().0, Wish::Note { text: "the cloth slipped".into() });
    let long = format!(r#"{{"wish":"note","text":"{}"}}"#, "x".repeat(1001));
    client.send(&long);
    assert!(client.answer("refused").contains("too long"));
    client.send(r#"{"wish":"dance"}"#);
    assert!(client.answer("refused").contains("not understood"));
    assert_eq!(operator.take(|_| true), None);
}

#[test]
fn a_stop_is_called_at_once_by_either_way() {
    let (page, _, stops) = page();
    let mut client = Client::connect(&page);
    client.send(r#"{"stop":true}"#);
    client.until("an answer", |value| value["stopped"] == true);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    assert_eq!(ask_text(page.address(), "POST", "/stop", &[]).0, 200);
    assert_eq!(stops.load(Ordering::SeqCst), 2);
    assert_eq!(ask_text(page.address(), "GET", "/stop", &[]).0, 405, "a link must not stop an arm");
    client.send(r#"{"stop":false}"#);
    client.send(r#"{"wish":"begin"}"#);
    client.answer("accepted");
    assert_eq!(stops.load(Ordering::SeqCst), 2);
}

#[test]
fn dropping_the_page_ends_its_threads_and_connections() {
    let (page, _, _) = page();
    let (address, mut sink) = (page.address(), page.sink());
    let mut client = Client::connect(&page);
    client.state("a state", |_| true);
    page.stop();
    client.until_closed();
    assert!(std::net::TcpStream::connect(address).is_err(), "the page still listens");
    // A loop that still runs does not notice.
    sink.episode_started(&synthetic::start("late")).unwrap();
    Feed::default().step(&mut sink).unwrap();
}

#[test]
fn an_address_in_use_is_said_with_the_way_out() {
    let (page, operator, _) = page();
    let taken = visuomotor::page::PageSettings { address: page.address(), ..settings() };
    let error = Page::start(taken, operator.clone()).unwrap_err();
    assert!(matches!(error, PageError::InUse { address } if address == page.address()));
    assert!(error.to_string().contains("choose another port"), "{error}");
    let elsewhere =
        visuomotor::page::PageSettings { address: "192.0.2.7:0".parse().unwrap(), token: None, ..settings() };
    assert!(matches!(Page::start(elsewhere, operator.clone()), Err(PageError::Listen { .. })));
    let folder = visuomotor::page::PageSettings { episodes: Some("/no/such/folder".into()), ..settings() };
    assert!(Page::start(folder, operator).unwrap_err().to_string().contains("/no/such/folder"));
}
