//! The data card of a folder of episodes: a page that describes its contents.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::page::escape;
use visuomotor_records::recording::{Gravity, RecordedEpisode, Verdict};

/// Names of the action's components.
const PARTS: [&str; 7] = ["dx [m]", "dy [m]", "dz [m]", "droll [rad]", "dpitch [rad]", "dyaw [rad]", "gripper"];

/// Bars of a histogram.
const BARS: usize = 24;

/// Side of a plot \[pixels\].
const SIDE: f64 = 260.0;

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
        let mut out = String::from(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
             table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #8886;text-align:left}\
             td.n{text-align:right;font-variant-numeric:tabular-nums}.plots{display:flex;flex-wrap:wrap;gap:1rem}\
             figure{margin:0}figcaption{font-size:.85rem;opacity:.8}svg{background:#8881;border-radius:6px}\
             .bar{fill:#3b7dd8}.dot{fill:#3b7dd8;fill-opacity:.35}</style>",
        );
        let steps: usize = self.tasks.values().flat_map(|task| &task.steps).sum();
        let seconds: f64 = self.tasks.values().map(|task| task.seconds).sum();
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            "<title>{0}</title><h1>{0}</h1><p>{1} episodes, {steps} steps, {seconds:.0} s.",
            escape(title),
            self.episodes()
        );
        for (what, counts) in [("Arms", &self.robots), ("Driven by", &self.sources)] {
            let _ = write!(out, " {what}: {}.", list(counts));
        }
        let cameras: Vec<String> =
            self.cameras.iter().map(|(name, (w, h))| format!("{} {w}x{h}", escape(name))).collect();
        let verdicts: Vec<String> = self.verdicts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let _ = write!(out, " Cameras: {}. Verified: {}.</p>", cameras.join(", "), verdicts.join(", "));
        out.push_str("<table><tr><th>task<th>instruction<th>success<th>failure<th>aborted<th>cut off<th>steps (least, median, most)");
        for (name, task) in &self.tasks {
            let count = |word: &str| task.outcomes.get(word).copied().unwrap_or(0);
            let mut lengths = task.steps.clone();
            lengths.sort_unstable();
            let at = |share: usize| lengths.get((lengths.len() - 1) * share / 2).copied().unwrap_or(0);
            let _ = write!(
                out,
                "<tr><td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}, {}, {}",
                escape(name),
                escape(&task.instruction),
                count("success"),
                count("failure"),
                count("aborted"),
                count("cut off"),
                at(0),
                at(1),
                at(2)
            );
        }
        out.push_str("</table><h2>Where the tool was</h2><div class=plots>");
        self.cover(&mut out, "from above: x to the right, y up [m]", 0, 1);
        self.cover(&mut out, "from the side: x to the right, z up [m]", 0, 2);
        out.push_str("</div><h2>What was asked</h2><div class=plots>");
        for (part, values) in PARTS.iter().zip(&self.actions) {
            histogram(&mut out, part, values);
        }
        out.push_str("</div>");
        if !self.remarks.is_empty() {
            out.push_str("<h2>To look at</h2><table><tr><th>episode<th>what");
            for (name, what) in &self.remarks {
                let _ = write!(out, "<tr><td>{}<td>{}", escape(name), escape(what));
            }
            out.push_str("</table>");
        }
        out
    }

    fn cover(&self, out: &mut String, caption: &str, across: usize, up: usize) {
        let range = |axis: usize| {
            let values = self.places.iter().map(|place| place[axis]).filter(|value| value.is_finite());
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            if low <= high { (low - 0.02, high + 0.02) } else { (0.0, 1.0) }
        };
        let ((x0, x1), (y0, y1)) = (range(across), range(up));
        let scale = (SIDE / (x1 - x0)).min(SIDE / (y1 - y0));
        let _ = write!(out, "<figure><svg width={SIDE} height={SIDE} role=img aria-label=\"{caption}\">");
        // A few thousand dots show the coverage; more only slow the page.
        for place in self.places.iter().step_by(self.places.len() / 4000 + 1) {
            let (x, y) = ((place[across] - x0) * scale, SIDE - (place[up] - y0) * scale);
            let _ = write!(out, "<circle class=dot cx={x:.1} cy={y:.1} r=2 />");
        }
        let _ =
            write!(out, "</svg><figcaption>{caption}: {x0:.2} to {x1:.2}, {y0:.2} to {y1:.2}</figcaption></figure>");
    }
}

fn histogram(out: &mut String, name: &str, values: &[f64]) {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    if !(low <= high) {
        return;
    }
    let width = (high - low).max(1e-9);
    let mut bars = [0usize; BARS];
    for value in finite() {
        bars[(((value - low) / width * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let most = bars.iter().copied().max().unwrap_or(1).max(1) as f64;
    let (step, height) = (SIDE / BARS as f64, 0.45 * SIDE);
    let _ = write!(out, "<figure><svg width={SIDE} height={height} role=img aria-label=\"{name}\">");
    for (i, count) in bars.iter().enumerate() {
        let tall = height * *count as f64 / most;
        let _ = write!(
            out,
            "<rect class=bar x={:.1} y={:.1} width={:.1} height={tall:.1} />",
            i as f64 * step,
            height - tall,
            step - 1.0
        );
    }
    let mean = finite().sum::<f64>() / finite().count().max(1) as f64;
    let _ = write!(out, "</svg><figcaption>{name}: {low:.3} to {high:.3}, mean {mean:.3}</figcaption></figure>");
}

fn list(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(name, count)| format!("{} ({count})", escape(name))).collect::<Vec<_>>().join(", ")
}
