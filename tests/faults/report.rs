//! Results of the rows: one line each while they run, `faults.json` and `faults.md` at the end.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use visuomotor::action::ControlMode;

use super::finding::Finding;
use super::simulated;

/// Prints a line for the operator.
pub fn show(finding: Finding) -> Finding {
    let name = format!("{} {}: {}", finding.link, finding.mode, finding.fault);
    match (&finding.skipped, &finding.without) {
        (Some(why), None) => println!("skip  {name}: {why}"),
        (Some(why), Some(_)) => println!("      {name}, no control: {why}"),
        (None, None) => println!("{}  {name}{}", if finding.green { "ok  " } else { "RED " }, tail(&finding)),
        (None, Some(off)) => {
            let what = match finding.green {
                false if finding.speed_before.is_nan() => "NOT MEASURED",
                false => "red ",
                true => "SAFE",
            };
            println!("{what}  {name}, control without {off}{}", tail(&finding));
        }
    }
    if !finding.green && finding.skipped.is_none() && finding.without.is_none() {
        for line in &finding.seen {
            println!("        {line}");
        }
    }
    finding
}

fn tail(finding: &Finding) -> String {
    let seconds = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3} s"));
    let why = if finding.why.is_empty() { String::new() } else { format!("; {}", finding.why) };
    let ticks = finding.ticks_to_hold.map_or(String::new(), |ticks| format!(" (hold {ticks:.0} ticks later)"));
    format!(
        ": {:.2} rad/s, noticed after {}{ticks}, {}slower after {}, at rest after {}, peak {:.2} rad/s{}{why}",
        finding.speed_before,
        seconds(finding.detected_after),
        way(finding).map_or(String::new(), |way| format!("travelled {way} rad, ")),
        seconds(finding.slower_after),
        seconds(finding.rest_after),
        finding.peak_speed,
        rejoins(finding),
    )
}

fn rejoins(finding: &Finding) -> String {
    if finding.rejoins.is_nan() {
        return String::new();
    }
    format!(", went on with {:.2} of its acceleration limit", finding.rejoins)
}

/// Travelled and allowed distance, if judged.
fn way(finding: &Finding) -> Option<String> {
    (!finding.travelled.is_nan()).then(|| format!("{:.3} / {:.3}", finding.travelled, finding.allowed))
}

/// A control of a row in simulated time: the protection that is off is read once per process.
pub fn in_a_process_of_its_own(fault: simulated::Fault, mode: ControlMode) -> anyhow::Result<Finding> {
    if cfg!(not(feature = "fault-controls")) {
        let mut finding = Finding::new(fault.words(), "simulated", mode, f64::NAN);
        finding.skipped = Some("needs a build with the feature fault-controls".into());
        return Ok(finding);
    }
    let output = Command::new(std::env::current_exe()?)
        .args(["row", &format!("{fault:?}"), &mode.to_string()])
        .env("VISUOMOTOR_PROTECTION_OFF", simulated::without(fault))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    let line =
        line.ok_or_else(|| anyhow::anyhow!("a control said nothing: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(serde_json::from_str(line)?)
}

/// The other end of [`in_a_process_of_its_own`].
pub fn row(fault: &str, mode: ControlMode) -> anyhow::Result<()> {
    let fault = simulated::Fault::ALL.into_iter().find(|known| format!("{known:?}") == fault);
    let fault = fault.ok_or_else(|| anyhow::anyhow!("no such fault"))?;
    println!("{}", serde_json::to_string(&simulated::run(fault, mode, true))?);
    Ok(())
}

/// Counts, writes, and fails if a row is red, or a control is safe without a stated reason.
pub fn end(findings: &[Finding], out: Option<&Path>) -> anyhow::Result<()> {
    let rows: Vec<&Finding> = findings.iter().filter(|f| f.without.is_none()).collect();
    let skipped = rows.iter().filter(|f| f.skipped.is_some()).count();
    let green = rows.iter().filter(|f| f.skipped.is_none() && f.green).count();
    let red = rows.len() - skipped - green;
    if let Some(folder) = out {
        write(folder, findings)?;
    }
    let controls = Controls::of(findings);
    if findings.len() > rows.len() {
        println!("controls: {controls}");
    }
    println!("{green} passed, {red} failed, {skipped} skipped");
    anyhow::ensure!(red == 0, "{red} rows of the fault matrix are red");
    anyhow::ensure!(controls.unmeasured == 0, "{} controls were not measured", controls.unmeasured);
    anyhow::ensure!(
        controls.safe == 0,
        "{} controls are safe without their protections: what else protects?",
        controls.safe
    );
    Ok(())
}

/// Counts of the controls' results.
#[derive(Default)]
struct Controls {
    red: usize,
    safe_for_a_reason: usize,
    safe: usize,
    none: usize,
    /// The row did not reach its fault: that it is red shows nothing.
    unmeasured: usize,
}

impl Controls {
    fn of(findings: &[Finding]) -> Self {
        let mut controls = Self::default();
        for control in findings.iter().filter(|f| f.without.is_some()) {
            *match (&control.skipped, control.green) {
                (Some(why), _) if why.starts_with("safe:") => &mut controls.safe_for_a_reason,
                (Some(_), _) => &mut controls.none,
                (None, false) if control.speed_before.is_nan() => &mut controls.unmeasured,
                (None, false) => &mut controls.red,
                (None, true) => &mut controls.safe,
            } += 1;
        }
        controls
    }
}

impl std::fmt::Display for Controls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { red, safe_for_a_reason, safe, none, unmeasured } = self;
        write!(
            f,
            "{red} red as they must be, {safe_for_a_reason} safe for a stated reason, {safe} safe and nobody says why, {none} \
             rows have none for a stated reason, {unmeasured} not measured"
        )
    }
}

fn write(folder: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("faults.json"), serde_json::to_string_pretty(findings)? + "\n")?;
    std::fs::write(folder.join("faults.md"), page(findings)?)?;
    println!("written: {}", folder.join("faults.md").display());
    Ok(())
}

/// One page from pieces that were run separately.
pub fn join(folder: &Path, pieces: &[&str]) -> anyhow::Result<()> {
    let mut findings: Vec<Finding> = Vec::new();
    let name = |f: &Finding| (f.link.clone(), f.mode.clone(), f.fault.clone(), f.without.is_some());
    for piece in pieces {
        for finding in serde_json::from_str::<Vec<Finding>>(&std::fs::read_to_string(piece)?)? {
            // A row that was run again replaces its first run.
            match findings.iter_mut().find(|known| name(known) == name(&finding)) {
                Some(known) => *known = finding,
                None => findings.push(finding),
            }
        }
    }
    write(folder, &findings)
}

fn page(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# Fault matrix\n\nWritten by `cargo xtask faults`, in one run or joined from pieces; not edited by hand. A row injects a \
         fault while the arm sways and measures the emulated arm.\n\n\
         - *Noticed after* is when the program first noticed; in brackets the control periods from there to the hold it sent (at \
         most 2; judged where time is simulated). `-`: it was gone, or had nothing to notice.\n\
         - *Travelled / allowed* is the joint that came closest to its bound: speed x (detection bound + one control period + \
         the longest stall of the emulated arm's process) + braking distance + what its controller had already been told + \
         0.015 rad that the gauge cannot tell from rest. `-`: the arm may go on, and is judged by the rest of *judged*.\n\
         - *Judged*: *speed*: no joint faster than 1.3 x its limit, which is measured; *box*: the tool within 2 cm of its box; \
         *steps*: no command changes by more than the arm's limits from one control period to the next, at a recovery too; \
         *image*: no command from an action that was decided on too old an image; *way*: travelled / allowed; *rest*: every \
         joint stood while the fault lasted; *hold*: told within 2 control periods; *push*: how far a command ran ahead; *work*: \
         it went on as if nothing had happened; *jump*: once it goes on no joint accelerates more than 2 x its limit over \
         windows of 30 ms (each trace is judged a second time with a step of 0.05 rad put in, which must be found); *words*: it \
         noticed, ended, and said that the hold could not be confirmed (an emulated arm's mechanics end with its controller).\n\
         - *Slower after* is when the fastest joint had lost a tenth of its speed.\n\
         - *Control* is the same row with its protections switched off in a test build: **red** shows that they matter; *safe* \
         that the arm is safe without them, and why.\n\
         - *Kept* is what the recording holds.\n\n",
    );
    let rows = findings.iter().filter(|f| f.without.is_none());
    let count = |of: &dyn Fn(&Finding) -> bool| rows.clone().filter(|f| of(f)).count();
    let skipped = count(&|f| f.skipped.is_some());
    let green = count(&|f| f.skipped.is_none() && f.green);
    let red = count(&|f| f.skipped.is_none() && !f.green);
    writeln!(page, "{green} rows green, {red} red, {skipped} skipped. Controls: {}.\n", Controls::of(findings))?;
    let mut link = "";
    for (index, finding) in findings.iter().enumerate().filter(|(_, f)| f.without.is_none()) {
        if finding.link != link {
            link = &finding.link;
            writeln!(page, "\n## {link}\n")?;
            writeln!(
                page,
                "| fault | mode | result | rad/s before | noticed after \\[s\\] | travelled / allowed \\[rad\\] | slower after \\[s\\] \
                 | at rest after \\[s\\] | peak rad/s | judged | control | what the operator saw | kept |"
            )?;
            writeln!(page, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        }
        if let Some(why) = &finding.skipped {
            writeln!(page, "| {} | {} | skipped: {why} | | | | | | | | | | |", finding.fault, finding.mode)?;
            continue;
        }
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let cell = |text: &str| if text.is_empty() { "-".into() } else { text.replace('|', "/") };
        let ticks = finding.ticks_to_hold.map_or(String::new(), |ticks| format!(" ({ticks:.0})"));
        writeln!(
            page,
            "| {} | {} | {} | {:.2} | {}{ticks} | {} | {} | {} | {:.2} | {} | {} | {} | {} |",
            finding.fault,
            finding.mode,
            if finding.green { "green".into() } else { format!("**RED**: {}", cell(&finding.why)) },
            finding.speed_before,
            number(finding.detected_after),
            way(finding).unwrap_or("-".into()),
            number(finding.slower_after),
            number(finding.rest_after),
            finding.peak_speed,
            cell(&finding.judged),
            control(findings.get(index + 1).filter(|f| f.without.is_some() && f.fault == finding.fault)),
            cell(&finding.operator),
            cell(&finding.kept),
        )?;
    }
    Ok(page)
}

/// Result of a row's control.
fn control(finding: Option<&Finding>) -> String {
    let Some(Finding { without: Some(off), green, skipped, speed_before, .. }) = finding else { return "-".into() };
    match (skipped, green) {
        (Some(why), _) if why.starts_with("safe:") => why.clone(),
        (Some(why), _) => format!("none: {why}"),
        (None, false) if speed_before.is_nan() => format!("not measured, without {off}"),
        (None, false) => format!("**red** without {off}"),
        (None, true) => format!("**SAFE** without {off}, and nobody says why"),
    }
}
