//! The web page with made-up data: to try it without a robot, and to make the images of it in `docs/`.
//!
//! ```text
//! cargo run --example page --no-default-features --features page               serve until a line is read
//! cargo run --example page --no-default-features --features page -- images   write docs/page.png, docs/page-phone.png
//! ```

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use visuomotor::episode::StepSink;
use visuomotor::operator::{Operator, Phase, Wish};
use visuomotor::page::{JointRange, Page, PageSettings, PageSink};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/page/devtools.rs"]
mod devtools;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/page/synthetic.rs"]
mod synthetic;

/// Steps that have passed when the first browser looks: half an episode.
const BEFORE: u64 = 70;

fn main() -> anyhow::Result<()> {
    let pictures = std::env::args().nth(1).is_some_and(|word| word == "pictures");
    let folder = tempfile::tempdir()?;
    for (name, steps) in [("croissant_trial_01", 40), ("croissant_trial_02", 55)] {
        synthetic::record(folder.path(), name, steps)?;
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = stopped.clone();
    let operator = Operator::new(move |by| {
        println!("stop, by {by}");
        stop.store(true, Ordering::Relaxed);
    });
    let mut settings = PageSettings { episodes: Some(folder.path().into()), ..PageSettings::default() };
    if pictures {
        settings.address.set_port(0);
    }
    let page = Page::start(settings, operator.clone())?;
    let ranges = synthetic::JOINTS.map(|(name, low, high)| JointRange { name: name.into(), low, high });
    page.joint_ranges(ranges.into());
    let (sink, ended) = (page.sink(), Arc::new(AtomicBool::new(false)));
    let (end, under_way) = (ended.clone(), Arc::new(AtomicBool::new(false)));
    let begun = under_way.clone();
    let lab = std::thread::spawn(move || lab(sink, &operator, &stopped, &begun, &end));
    while !under_way.load(Ordering::Relaxed) && !lab.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
    }
    if pictures {
        draw(page.url());
    } else {
        println!("{}  (Enter ends it)", page.url());
        std::io::stdin().lock().read_line(&mut String::new())?;
    }
    ended.store(true, Ordering::Relaxed);
    lab.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the lab panicked")))
}

/// Episodes one after the other, begun and ended by buttons; the first is `under_way` at once.
fn lab(
    mut sink: PageSink,
    operator: &Operator,
    stopped: &AtomicBool,
    under_way: &AtomicBool,
    ended: &AtomicBool,
) -> anyhow::Result<()> {
    operator.show(|panel| {
        panel.task = "croissant_out_of_bowl".into();
        panel.instruction = "take the croissant out of the bowl and put it on the cloth".into();
        panel.action_source = "policy B of 3".into();
        panel.episodes = (6, 20);
    });
    for trial in 7.. {
        let mut feed = synthetic::Feed::default();
        stopped.store(false, Ordering::Relaxed);
        operator.forget();
        if trial > 7 {
            operator.show(|panel| {
                panel.phase = Phase::Waiting;
                panel.prompt = "Lay the croissant into the bowl, 5 cm to the left; then begin.".into();
            });
            while operator.take(|wish| *wish == Wish::Begin).is_none() {
                sink.observe(&feed.observation());
                std::thread::sleep(Duration::from_millis(100));
                if ended.load(Ordering::Relaxed) || operator.take(|wish| *wish == Wish::Quit).is_some() {
                    return Ok(());
                }
            }
        }
        operator.show(|panel| {
            panel.phase = Phase::Running;
            panel.prompt = "Keep hands off the table. Accept or reject when the croissant lies on the cloth.".into();
        });
        sink.episode_started(&synthetic::start(&format!("croissant_trial_{trial:02}")))?;
        let mut steps = 0;
        let verdict = |wish: &Wish| matches!(wish, Wish::Accept | Wish::Reject | Wish::Abort | Wish::Quit);
        loop {
            let began = Instant::now();
            feed.step(&mut sink)?;
            sink.curve_point(steps as f64 * 0.2, synthetic::distance(steps as f64 * 0.2));
            steps += 1;
            // The first is half over when somebody looks.
            if trial > 7 || steps > BEFORE {
                under_way.store(true, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(200).saturating_sub(began.elapsed()));
            }
            if ended.load(Ordering::Relaxed) {
                return Ok(());
            }
            if stopped.load(Ordering::Relaxed) || operator.take(verdict).is_some() {
                break;
            }
        }
        sink.episode_ended(&synthetic::end(steps))?;
        operator.show(|panel| panel.episodes.0 += 1);
    }
    Ok(())
}

/// The images in `docs/`, from Chromium.
fn draw(url: &str) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let ready =
        format!("state !== null && state.episode !== null && state.episode.steps > {BEFORE} && points.length > 50");
    let mut browser = devtools::Browser::start();
    for (file, width, height, mobile) in [("page.png", 1280, 800, false), ("page-phone.png", 360, 740, true)] {
        browser.resize(width, height, 1.0, mobile);
        browser.open(url);
        browser.until(&ready);
        browser.key("t", "KeyT");
        browser.until(
            "view.controls === 'yours' && figures.every((each) => each.canvas.width > 0 && each.busy === false)",
        );
        std::thread::sleep(Duration::from_secs(1));
        browser.screenshot(&docs.join(file));
        println!("{}", docs.join(file).display());
    }
}
