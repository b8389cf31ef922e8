//! What the rows found: a line each while they run, `faults.json` and `faults.md` at the end.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use visuomotor::action::ControlMode;

use super::simulated;
use super::wall::Finding;

/// A line for whoever watches.
pub fn show(finding: Finding) -> Finding {
    let name = format!("{} {}: {}", finding.link, finding.mode, finding.fault);
    match (&finding.skipped, &finding.without) {
        (Some(why), _) => println!("skip  {name}: {why}"),
        (None, None) => println!("{}  {name}{}", if finding.green { "ok  " } else { "RED " }, tail(&finding)),
        (None, Some(off)) => {
            println!(
                "{}  {name}, control without {off}{}",
                if finding.green { "SAFE" } else { "red " },
                tail(&finding)
            );
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
    format!(
        ": {:.2} rad/s, travelled {:.3} of {:.3} rad, slower after {}, at rest after {}{why}",
        finding.speed_before,
        finding.travelled,
        finding.allowed,
        seconds(finding.noticed_after),
        seconds(finding.rest_after),
    )
}

/// A control of a row in simulated time: which protection is off is read once a process.
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

/// Counts, writes, and fails when a row is red.
pub fn end(findings: &[Finding], out: Option<&Path>) -> anyhow::Result<()> {
    let rows: Vec<&Finding> = findings.iter().filter(|f| f.without.is_none()).collect();
    let skipped = rows.iter().filter(|f| f.skipped.is_some()).count();
    let green = rows.iter().filter(|f| f.skipped.is_none() && f.green).count();
    let red = rows.len() - skipped - green;
    let controls: Vec<&Finding> = findings.iter().filter(|f| f.without.is_some() && f.skipped.is_none()).collect();
    let safe = controls.iter().filter(|f| f.green).count();
    if let Some(folder) = out {
        write(folder, findings)?;
    }
    if !controls.is_empty() {
        println!("controls: {} red as they must be, {safe} safe without the protection", controls.len() - safe);
    }
    println!("{green} passed, {red} failed, {skipped} skipped");
    anyhow::ensure!(red == 0, "{red} rows of the fault matrix are red");
    Ok(())
}

fn write(folder: &Path, findings: &[Finding]) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("faults.json"), serde_json::to_string_pretty(findings)? + "\n")?;
    std::fs::write(folder.join("faults.md"), page(findings)?)?;
    println!("written: {}", folder.join("faults.md").display());
    Ok(())
}

/// One page of pieces that were run apart.
pub fn join(folder: &Path, pieces: &[&str]) -> anyhow::Result<()> {
    let mut findings: Vec<Finding> = Vec::new();
    for piece in pieces {
        findings.extend(serde_json::from_str::<Vec<Finding>>(&std::fs::read_to_string(piece)?)?);
    }
    write(folder, &findings)
}

fn page(findings: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "# Fault matrix\n\nWritten by `cargo xtask faults`, in one run or joined from pieces; not edited by hand. A row injects a fault while the arm sways and \
         measures the emulated arm. *Travelled / allowed* is the joint that came closest to its bound: speed x (detection bound \
         + one control period + the longest stall of the emulated arm's process) + braking distance + what its controller had \
         already been told + 0.015 rad that the gauge cannot tell from rest. *Slower after* is when the fastest joint had lost a \
         tenth of its speed. *Control* is the same row with its protection switched off in a test build: **red** shows that the \
         protection matters, *safe* that something else stops the arm too (the controller's own time-out, or another check).\n\n",
    );
    let rows = findings.iter().filter(|f| f.without.is_none());
    let count = |of: &dyn Fn(&Finding) -> bool| rows.clone().filter(|f| of(f)).count();
    let skipped = count(&|f| f.skipped.is_some());
    let green = count(&|f| f.skipped.is_none() && f.green);
    let red = count(&|f| f.skipped.is_none() && !f.green);
    writeln!(page, "{green} rows green, {red} red, {skipped} skipped.\n")?;
    let mut link = "";
    for (index, finding) in findings.iter().enumerate().filter(|(_, f)| f.without.is_none()) {
        if finding.link != link {
            link = &finding.link;
            writeln!(page, "\n## {link}\n")?;
            writeln!(
                page,
                "| fault | mode | result | rad/s before | travelled / allowed \\[rad\\] | slower after \\[s\\] | at rest after \\[s\\] | peak rad/s | control | what the operator saw |"
            )?;
            writeln!(page, "|---|---|---|---|---|---|---|---|---|---|")?;
        }
        let control =
            findings.get(index + 1).filter(|f| f.without.is_some() || f.skipped.is_some() && f.fault == finding.fault);
        let control = match control {
            Some(Finding { without: Some(off), green, skipped: None, .. }) => {
                format!("{} without {off}", if *green { "*safe*" } else { "**red**" })
            }
            _ => "-".into(),
        };
        if let Some(why) = &finding.skipped {
            writeln!(page, "| {} | {} | skipped: {why} | | | | | | | |", finding.fault, finding.mode)?;
            continue;
        }
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let seen =
            finding.seen.iter().rev().find(|line| ["fault", "hold", "ended"].iter().any(|word| line.contains(word)));
        let seen = seen.map_or("-".into(), |line| {
            line.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim().replace('|', "/")
        });
        writeln!(
            page,
            "| {} | {} | {} | {:.2} | {:.3} / {:.3} | {} | {} | {:.2} | {control} | {seen} |",
            finding.fault,
            finding.mode,
            if finding.green { "green".into() } else { format!("**RED**: {}", finding.why) },
            finding.speed_before,
            finding.travelled,
            finding.allowed,
            number(finding.noticed_after),
            number(finding.rest_after),
            finding.peak_speed,
        )?;
    }
    Ok(page)
}
