//! The data card of a folder of episodes: a page that describes its contents.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use visuomotor_core::chart::{bars, range, tenth};
use visuomotor_records::recording::{Gravity, RecordedEpisode, Verdict};

/// Names of the action's components.
const PARTS: [&str; 7] = ["dx [m]", "dy [m]", "dz [m]", "droll [rad]", "dpitch [rad]", "dyaw [rad]", "gripper"];

/// Bars of a histogram.
const BARS: usize = 24;

/// Side of a plot \[pixels\].
const SIDE: f64 = 260.0;

const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #8886;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.plots{display:flex;flex-wrap:wrap;gap:1rem}\
    figure{margin:0}figcaption{font-size:.85rem;opacity:.8}svg{background:#8881;border-radius:6px}\
    .bar{fill:#3b7dd8}.dot{fill:#3b7dd8;fill-opacity:.35}";

#[derive(Default)]
struct Task {
    instruction: String,
    outcomes: BTreeMap<&'static str, usize>,
    steps: Vec<usize>,
    seconds: f64,
}

/// Contents of a folder, gathered episode by episode so that only one is in memory at a time.
#[derive(Default)]
pub struct Card {
    tasks: BTreeMap<String, Task>,
    robots: BTreeMap<String, usize>,
    sources: BTreeMap<String, usize>,
    cameras: BTreeMap<String, (u32, u32)>,
    verdicts: BTreeMap<&'static str, usize>,
    remarks: Vec<(String, String)>,
    /// Tool positions \[m\].
    places: Vec<[f64; 3]>,
    actions: [Vec<f64>; 7],
}

impl Card {
    /// Adds an episode, read with images and control ticks.
    pub fn add(&mut self, episode: &RecordedEpisode, verdict: &Verdict) {
        let task = self.tasks.entry(episode.start.task.clone()).or_default();
        task.instruction.clone_from(&episode.start.instruction);
        let outcome = episode.end.as_ref().map_or("cut off", |end| end.outcome.word());
        *task.outcomes.entry(outcome).or_default() += 1;
        task.steps.push(episode.steps.len());
        task.seconds += episode.end.as_ref().map_or(0.0, |end| end.seconds);
        *self.robots.entry(episode.start.robot.clone()).or_default() += 1;
        *self.sources.entry(episode.start.action_source.clone()).or_default() += 1;
        *self.verdicts.entry(verdict.word()).or_default() += 1;
        let name = episode.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for remark in verdict.remarks.iter().filter(|remark| remark.gravity >= Gravity::Doubt) {
            self.remarks.push((name.clone(), remark.what.clone()));
        }
        for step in &episode.steps {
            for image in &step.images {
                self.cameras.insert(image.camera.to_string(), image.camera_size);
            }
            let place = step.base_from_tool.translation.vector;
            self.places.push([place.x, place.y, place.z]);
            for (values, value) in self.actions.iter_mut().zip(step.action.to_array()) {
                values.push(value);
            }
        }
    }

    /// Episodes so far.
    pub fn episodes(&self) -> usize {
        self.verdicts.values().sum()
    }

    /// The page; `title` names the folder.
    pub fn page(&self, title: &str) -> String {
        let steps: usize = self.tasks.values().flat_map(|task| &task.steps).sum();
        let seconds: f64 = self.tasks.values().map(|task| task.seconds).sum();
        let cameras: Vec<String> = self.cameras.iter().map(|(name, (w, h))| format!("{name} {w}x{h}")).collect();
        let verdicts: Vec<String> = self.verdicts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let page = html! {
            (PreEscaped("<!doctype html>"))
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width";
                    style { (PreEscaped(STYLE)) }
                    title { (title) }
                }
                body {
                    h1 { (title) }
                    p {
                        (self.episodes()) " episodes, " (steps) " steps, " (format!("{seconds:.0} s.")) " Arms: "
                        (list(&self.robots)) ". Driven by: " (list(&self.sources)) ". Cameras: " (cameras.join(", "))
                        ". Verified: " (verdicts.join(", ")) "."
                    }
                    (self.table())
                    h2 { "Where the tool was" }
                    div .plots {
                        (self.cover("from above: x to the right, y up [m]", 0, 1))
                        (self.cover("from the side: x to the right, z up [m]", 0, 2))
                    }
                    h2 { "What was asked" }
                    div .plots {
                        @for (part, values) in PARTS.iter().zip(&self.actions) { (histogram(part, values)) }
                    }
                    @if !self.remarks.is_empty() {
                        h2 { "To look at" }
                        table {
                            tr { th { "episode" } th { "what" } }
                            @for (name, what) in &self.remarks { tr { td { (name) } td { (what) } } }
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn table(&self) -> Markup {
        html! {
            table {
                tr {
                    th { "task" } th { "instruction" } th { "success" } th { "failure" } th { "aborted" } th { "cut off" }
                    th { "steps (least, median, most)" }
                }
                @for (name, task) in &self.tasks {
                    tr {
                        td { (name) }
                        td { (task.instruction) }
                        @for word in ["success", "failure", "aborted", "cut off"] {
                            td .n { (task.outcomes.get(word).copied().unwrap_or(0)) }
                        }
                        td .n { (lengths(&task.steps)) }
                    }
                }
            }
        }
    }

    fn cover(&self, caption: &str, across: usize, up: usize) -> Markup {
        let of = |axis: usize| {
            range(self.places.iter().map(|place| place[axis]))
                .map_or((0.0, 1.0), |(low, high)| (low - 0.02, high + 0.02))
        };
        let ((x0, x1), (y0, y1)) = (of(across), of(up));
        let scale = (SIDE / (x1 - x0)).min(SIDE / (y1 - y0));
        // A few thousand dots show the coverage; more only slow the page.
        let places = self.places.iter().step_by(self.places.len() / 4000 + 1);
        html! {
            figure {
                svg width=(SIDE) height=(SIDE) role="img" aria-label=(caption) {
                    @for place in places {
                        circle .dot cx=(tenth((place[across] - x0) * scale)) cy=(tenth(SIDE - (place[up] - y0) * scale)) r="2" {}
                    }
                }
                figcaption { (caption) ": " (format!("{x0:.2} to {x1:.2}, {y0:.2} to {y1:.2}")) }
            }
        }
    }
}

fn histogram(name: &str, values: &[f64]) -> Markup {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let Some((low, high)) = range(finite()) else { return Markup::default() };
    let counts = bars::<BARS>(finite(), (low, high));
    let most = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let (step, height) = (SIDE / BARS as f64, 0.45 * SIDE);
    let mean = finite().sum::<f64>() / finite().count().max(1) as f64;
    html! {
        figure {
            svg width=(SIDE) height=(height) role="img" aria-label=(name) {
                @for (i, count) in counts.iter().enumerate() {
                    @let tall = height * *count as f64 / most;
                    rect .bar x=(tenth(i as f64 * step)) y=(tenth(height - tall)) width=(tenth(step - 1.0))
                        height=(tenth(tall)) {}
                }
            }
            figcaption { (name) ": " (format!("{low:.3} to {high:.3}, mean {mean:.3}")) }
        }
    }
}

/// The least, the median and the most of the episodes' steps.
fn lengths(steps: &[usize]) -> String {
    let mut lengths = steps.to_vec();
    lengths.sort_unstable();
    let at = |share: usize| lengths.get((lengths.len() - 1) * share / 2).copied().unwrap_or(0);
    format!("{}, {}, {}", at(0), at(1), at(2))
}

fn list(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(name, count)| format!("{name} ({count})")).collect::<Vec<_>>().join(", ")
}
