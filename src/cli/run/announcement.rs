//! Summary of a run, printed before anything moves.

use std::fmt::Write;

use super::RunArguments;
use super::ground::Ground;
use super::job::Job;
use crate::config::DriverKind;

/// The summary as text lines.
pub fn announcement(job: &Job, ground: &mut Ground<'_>, arguments: &RunArguments) -> anyhow::Result<String> {
    let station = job.place.station();
    let (launch, robot) = (&station.launch, &station.robot);
    let place = match (&arguments.shadow, launch.driver) {
        (Some(recording), _) => format!("the recording {}", recording.display()),
        (None, DriverKind::Mujoco) => "the simulator of this process".into(),
        (None, _) => crate::cli::link::link_address(launch, robot)?.to_string(),
    };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |what: &str, text: String| _ = writeln!(out, "{what:8} {text}");
    let mode = launch.control.law.mode();
    line("arm", format!("{} over {place}: {mode} at {} Hz", robot.identity.name, robot.identity.control_rate_hz));
    let now = ground.now();
    for (camera, max_age) in &mut ground.station().cameras {
        let seen = match camera.newest(now) {
            Ok(image) => {
                let age = now.since(image.captured_at).as_secs_f64();
                format!("{}x{}, newest image {age:.2} s old (at most {max_age} s)", image.width, image.height)
            }
            Err(error) => format!("{error}"),
        };
        line("camera", format!("{}: {seen}", camera.name()));
    }
    let digest = match job.entrant.weights_digest.get(..12) {
        Some(digest) => format!(" (weights {digest})"),
        None => String::new(),
    };
    line("policy", format!("{}{digest} at {} Hz", job.entrant.name, launch.policy.rate_hz));
    if !job.task.name.is_empty() || !job.task.instruction.is_empty() {
        line("task", format!("{}: {}", job.task.name, job.task.instruction));
    }
    let limits = &robot.limits;
    let fastest = limits.joint_velocity.iter().copied().fold(0.0, f64::max);
    line(
        "limits",
        format!(
            "joints at most {fastest} rad/s, tool at most {} m/s and within {:?} to {:?} m",
            limits.tool_velocity, limits.workspace_low, limits.workspace_high
        ),
    );
    line(
        "run",
        format!(
            "at most {} s, from {}",
            job.task.seconds,
            job.task.start.as_deref().map_or("where the arm stands".into(), |start| format!("posture `{start}`"))
        ),
    );
    let keys = if arguments.take_over.is_some() { "Enter, Backspace or x" } else { "s, f or a and Enter" };
    let operator = format!(", or the operator does: {keys} at the terminal, the page's buttons");
    let lockstep = ground.is_lockstep();
    let by = if lockstep { "; simulated time goes as fast as it can" } else { &operator };
    line("end", format!("when its time is up, a task's rule says so{by}"));
    if !lockstep {
        line("hands", hands(arguments));
    }
    line(
        "record",
        arguments.record.as_ref().map_or("nothing (--record FOLDER)".into(), |folder| folder.display().to_string()),
    );
    if arguments.shadow.is_some() {
        line("shadow", "nothing is connected; commands are discarded".into());
    } else if arguments.dry_run {
        line("dry run", "the arm is read and gets no commands".into());
    } else {
        line(
            "stop",
            "Ctrl-C, a closed terminal, or the page's button: the arm holds under torque. This is no emergency stop: keep the \
             hardware stop at hand"
                .into(),
        );
    }
    Ok(out.trim_end().to_string())
}

/// How control passes between policy and operator.
fn hands(arguments: &RunArguments) -> String {
    match arguments.take_over {
        Some(device) => format!(
            "p pauses and resumes, t takes over with {} and hands back, the page's buttons too; the arm holds at each change, and \
             its time goes on",
            device.name()
        ),
        None => {
            "p and Enter at the terminal or the page's button pauses and resumes; the arm holds, and its time goes on \
                 (--take-over DEVICE to take it over)"
                .into()
        }
    }
}
