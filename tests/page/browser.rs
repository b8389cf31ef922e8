//! The page in Chromium, as the operator sees and uses it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use visuomotor::episode::StepSink;
use visuomotor::operator::{Operator, Phase, Wish};
use visuomotor::page::{Page, PageSettings, PageSink};

use super::client::{page_with, settings};
use super::devtools::Browser;
use super::synthetic::{self, Feed};

/// Collects forbidden actions of the page, from its first line on.
const WATCH: &str = "window.faults = []; \
     addEventListener('error', (event) => faults.push(String(event.message))); \
     addEventListener('unhandledrejection', (event) => faults.push(String(event.reason))); \
     document.addEventListener('securitypolicyviolation', (event) => faults.push(event.violatedDirective));";

/// Feeds a sink until it is dropped.
struct Feeding {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feeding {
    fn start(mut sink: PageSink) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let feed = move || {
            let mut feed = Feed::default();
            sink.episode_started(&synthetic::start("episode_0007")).unwrap();
            while !end.load(Ordering::Relaxed) {
                feed.step(&mut sink).unwrap();
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        Self { ended, thread: Some(std::thread::spawn(feed)) }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn shown(phase: Phase, operator: &Operator) {
    operator.show(|panel| {
        panel.phase = phase;
        panel.task = "croissant_out_of_bowl".into();
        panel.prompt = "Lay the croissant into the bowl; then begin.".into();
        panel.action_source = "policy B".into();
        panel.episodes = (3, 10);
        panel.device = "gamepad, 60 Hz".into();
    });
}

/// The next wish; the page may need a moment.
fn next(operator: &Operator) -> Option<Wish> {
    for _ in 0..400 {
        if let Some((wish, by)) = operator.take(|_| true) {
            assert_eq!(by, "page");
            return Some(wish);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    None
}

fn enabled(name: &str) -> String {
    format!("!document.querySelector('[data-wish={name}]').disabled")
}

fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page").join(name)
}

fn open(page: &Page) -> Browser {
    let mut browser = Browser::start();
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
    browser.resize(1280, 800, 1.0, false);
    browser.open(page.url());
    browser.until("view !== null && state !== null");
    browser
}

#[test]
fn a_person_watches_presses_and_is_told_when_the_connection_is_lost() {
    let (page, operator, stops) = page_with(PageSettings { token: Some("a-token-to-know".into()), ..settings() });
    shown(Phase::Waiting, &operator);
    let feeding = Feeding::start(page.sink());
    let mut browser = open(&page);
    assert_eq!(browser.value("location.search"), "", "the token stays in the address");

    // Live data, and images that are not black.
    browser.until("state.episode.steps > 3 && document.querySelectorAll('#joints .row').length === 7");
    browser.until("document.querySelector('#prompt').textContent.includes('Lay the croissant')");
    browser.until(
        "(() => { const canvas = document.querySelector('#cameras canvas'); \
         const at = canvas.getContext('2d').getImageData(320, 240, 1, 1).data; return at[0] + at[1] + at[2] > 60; })()",
    );
    browser.until("!document.body.innerText.includes('vptr_finetuned_secretly')");
    browser.screenshot(&picture("waiting.png"));

    // Keys, in the phases in which they apply.
    browser.key("y", "KeyY");
    browser.until(&enabled("begin"));
    browser.key("b", "KeyB");
    assert_eq!(next(&operator), Some(Wish::Begin), "accept has no effect before an episode");
    browser.until("view.controls === 'yours'");
    shown(Phase::Running, &operator);
    browser.until(&enabled("accept"));
    browser.click("[data-wish=accept]");
    assert_eq!(next(&operator), Some(Wish::Accept));
    browser.key("m", "KeyM");
    for letter in ["a", " ", "b"] {
        browser.call("Input.insertText", json!({ "text": letter }));
    }
    assert_eq!(stops.load(Ordering::SeqCst), 0, "a space in a note is a space");
    browser.key("Enter", "Enter");
    assert_eq!(next(&operator), Some(Wish::Note { text: "a b".into() }));

    // Space stops, also with the focus on another button.
    browser.value("document.querySelector('[data-wish=reject]').focus()");
    browser.key(" ", "Space");
    browser.until("document.querySelector('#notice').textContent.includes('the arm holds')");
    assert!(stops.load(Ordering::SeqCst) >= 1);
    browser.key("n", "KeyN");
    assert_eq!(next(&operator), Some(Wish::Reject), "space presses no other button");
    assert_eq!(operator.take(|_| true), None);

    // A failed arm recovers only after a button that appears then, and a second one that states the effect.
    assert_eq!(browser.value("document.querySelector('[data-wish=recover]').hidden"), true);
    browser.key("c", "KeyC");
    shown(Phase::Failed, &operator);
    browser.until(&enabled("recover"));
    browser.key("b", "KeyB");
    browser.key("c", "KeyC");
    browser.until("document.querySelector('#ask').open");
    assert_eq!(operator.take(|_| true), None, "the page asks first");
    browser.click("#ask-yes");
    assert_eq!(next(&operator), Some(Wish::Recover));
    shown(Phase::Running, &operator);
    browser.until("document.querySelector('[data-wish=recover]').hidden");

    // Driving with keys goes into the gamepad's slot.
    browser.until("!document.querySelector('#keys').disabled");
    browser.key("k", "KeyK");
    browser.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": "w", "code": "KeyW", "text": "w" }));
    let slot = page.gamepad();
    let driven = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        slot.newest().is_some_and(|(gamepad, _)| gamepad.axes[1] == -1.0)
    });
    assert!(driven, "W does not act as a stick");
    browser.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": "w", "code": "KeyW" }));
    browser.screenshot(&picture("running.png"));
    browser.scheme("dark");
    browser.screenshot(&picture("running-dark.png"));
    browser.scheme("light");

    // A phone: nothing is cut off.
    browser.resize(360, 740, 2.0, true);
    browser.until("innerWidth === 360 && document.documentElement.scrollWidth <= 360");
    browser.screenshot(&picture("phone.png"));
    browser.resize(1280, 800, 1.0, false);
    assert_eq!(browser.value("JSON.stringify(faults)"), "[]");
    let elsewhere =
        "performance.getEntriesByType('resource').filter((each) => !each.name.startsWith(location.origin)).length";
    assert_eq!(browser.value(elsewhere), 0);

    // The program ends, and is started again.
    let address = page.address();
    page.stop();
    browser.until("!document.querySelector('#lost').hidden");
    browser.until("[...document.querySelectorAll('[data-wish]')].every((button) => button.disabled)");
    browser.screenshot(&picture("lost.png"));
    let again = PageSettings { address, token: Some("a-token-to-know".into()), ..settings() };
    let (_page, _, _) = page_with(again);
    browser.until("document.querySelector('#lost').hidden && !gone");
    drop(feeding);

    // Restarted, it has another token, and the page that is still open tells the operator what to do.
    drop(_page);
    let another = PageSettings { address, token: Some("another-token".into()), ..settings() };
    let (_page, _, _) = page_with(another);
    browser.until("!document.querySelector('#lost').hidden && !document.querySelector('#lost-token').hidden");
}

#[test]
fn a_second_browser_asks_before_it_takes_over() {
    let (page, operator, stops) = page_with(settings());
    shown(Phase::Running, &operator);
    let _sink = page.sink();
    let mut browser = open(&page);
    let mut other = super::client::Client::connect(&page);
    other.send(r#"{"controls":"take"}"#);
    browser.until("view.controls === 'another' && document.querySelector('[data-wish=accept]').disabled");
    browser.until("document.querySelector('#controls-words').textContent.includes('Another browser has the controls')");
    browser.key("y", "KeyY");
    browser.key("t", "KeyT");
    browser.until("document.querySelector('#ask').open");
    browser.key(" ", "Space");
    browser.until("document.querySelector('#notice').textContent.includes('the arm holds')");
    assert!(stops.load(Ordering::SeqCst) >= 1, "Space stops while a question is open");
    assert_eq!(browser.value("document.querySelector('#ask').open && view.controls"), "another");
    browser.click("#ask-yes");
    assert!(other.answer("notice").contains("took the controls over"));
    browser.until(&enabled("accept"));
    browser.key("y", "KeyY");
    assert_eq!(next(&operator), Some(Wish::Accept));
    assert_eq!(operator.take(|_| true), None);
}

#[test]
fn recordings_are_listed_and_played() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["episode_0001", "episode_0002"] {
        synthetic::record(folder.path(), name, 6).unwrap();
    }
    let (page, _, stops) = page_with(PageSettings { episodes: Some(folder.path().into()), ..settings() });
    let mut browser = open(&page);
    browser.until("document.querySelectorAll('#episodes li').length === 2");
    assert_eq!(browser.value("document.querySelector('#live').hidden"), true, "nothing runs");
    browser.click("#episodes li button");
    browser.until("played !== null && document.querySelector('#played-time').textContent.startsWith('step 1 of 6')");
    browser.value("document.querySelector('#play').focus()");
    browser.key(" ", "Space");
    browser.until("document.querySelector('#played-time').textContent.startsWith('step 6 of 6')");
    browser.until("document.querySelector('#play').textContent === 'Play'");
    assert_eq!(stops.load(Ordering::SeqCst), 0, "no run can be stopped");
    browser.screenshot(&picture("playback.png"));
    assert_eq!(browser.value("JSON.stringify(faults)"), "[]");
}
