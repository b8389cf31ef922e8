//! One browser has the controls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use visuomotor::operator::Operator;
use visuomotor::page::{MOST_BROWSERS, Page, PageSettings};
use visuomotor::time::ManualClock;

use super::client::{Client, page, settings};

const TAKE: &str = r#"{"controls":"take"}"#;
const TAKE_OVER: &str = r#"{"controls":"take_over"}"#;

fn pad(sequence: u64) -> String {
    format!(r#"{{"gamepad":{{"axes":[0.5,-3.0],"buttons":[true,false],"sequence":{sequence}}}}}"#)
}

#[test]
fn a_second_browser_may_stop_and_presses_nothing_until_it_takes_over() {
    let (page, operator, stops) = page();
    let (mut first, mut second) = (Client::connect(&page), Client::connect(&page));
    first.state("free controls", |value| value["view"]["controls"] == "free");
    first.send(TAKE);
    first.state("the controls", |value| value["view"]["controls"] == "yours");
    second.state("that another has them", |value| value["view"]["controls"] == "another");
    for message in [r#"{"wish":"accept"}"#, TAKE] {
        second.send(message);
        assert!(second.answer("refused").contains("another browser has the controls"));
    }
    assert_eq!(operator.take(|_| true), None);
    second.send(r#"{"stop":true}"#);
    second.until("an answer", |value| value["stopped"] == true);
    assert_eq!(stops.load(Ordering::SeqCst), 1);
    second.send(TAKE_OVER);
    assert!(first.answer("notice").contains("took the controls over"));
    first.send(r#"{"wish":"reject"}"#);
    first.answer("refused");
    second.send(r#"{"wish":"reject"}"#);
    assert_eq!(second.answer("accepted"), "reject");
}

#[test]
fn the_first_to_press_has_the_controls_and_leaving_gives_them_back() {
    let (page, _, _) = page();
    let mut first = Client::connect(&page);
    first.send(r#"{"wish":"begin"}"#);
    first.answer("accepted");
    let mut second = Client::connect(&page);
    second.state("that another has them", |value| value["view"]["controls"] == "another");
    drop(first);
    second.state("free controls", |value| value["view"]["controls"] == "free");
}

#[test]
fn a_silent_holder_loses_the_controls_and_its_gamepad_is_forgotten() {
    let silent_after = Duration::from_secs(3);
    let clock = Arc::new(ManualClock::new());
    let operator = Operator::new(|_| {});
    let settings = PageSettings { silent_after, ..settings() };
    let page = Page::start_with_clock(settings, operator.clone(), clock.clone()).unwrap();
    let (mut silent, mut other) = (Client::connect(&page), Client::connect(&page));
    silent.send(TAKE);
    silent.send(&pad(1));
    silent.state("the controls", |value| value["view"]["controls"] == "yours");
    // It sends nothing more, with its connection still open.
    clock.advance(silent_after + Duration::from_millis(1));
    assert!(silent.answer("notice").contains("silent"));
    assert!(page.gamepad().newest().is_none());
    other.state("free controls", |value| value["view"]["controls"] == "free");
    other.send(r#"{"wish":"abort"}"#);
    assert_eq!(other.answer("accepted"), "abort");
    assert!(operator.take(|_| true).is_some());
}

#[test]
fn only_the_holder_drives() {
    let (page, _, _) = page();
    let slot = page.gamepad();
    let (mut holder, mut other) = (Client::connect(&page), Client::connect(&page));
    holder.send(&pad(1));
    holder.send(TAKE);
    holder.state("the controls", |value| value["view"]["controls"] == "yours");
    assert!(slot.newest().is_none(), "driving does not take the controls by itself");
    holder.send(&pad(2));
    other.send(&pad(3));
    // A reply to a later message shows that the gamepad before it was read.
    holder.send(r#"{"wish":"begin"}"#);
    holder.answer("accepted");
    other.send(r#"{"wish":"begin"}"#);
    other.answer("refused");
    let (gamepad, _) = slot.newest().unwrap();
    assert_eq!((gamepad.sequence, gamepad.axes, gamepad.buttons), (2, vec![0.5, -1.0], vec![true, false]));
    other.send(TAKE_OVER);
    other.state("the controls", |value| value["view"]["controls"] == "yours");
    assert!(slot.newest().is_none(), "the previous browser's gamepad is forgotten");
}

#[test]
fn one_browser_too_many_is_refused_and_room_comes_back() {
    let (page, _, _) = page();
    let mut watching: Vec<Client> = (0..MOST_BROWSERS).map(|_| Client::connect(&page)).collect();
    assert_eq!(Client::with_headers(&page, &[]).err(), Some(503));
    watching.pop();
    let last = watching.last_mut().unwrap();
    let browsers = MOST_BROWSERS - 1;
    last.state("one less", |value| value["view"]["browsers"] == browsers);
    Client::connect(&page).state("room", |_| true);
}
