//! Is the node fit to move the arm? Nothing is changed and nothing moves.

use std::time::{Duration, Instant};

use super::XsSdkOptions;
use super::session::Session;
use crate::driver::widowx::limits::{JOINTS, servo_of_joint};
use crate::driver::widowx::xs_sdk::wire::{ALL, GRIPPER, STATE_RATE, hardware_error_text};
use crate::driver::{CheckReport, ConnectError, Finding, Grade};
use visuomotor_core::config::Robot;

/// How long states are counted.
const LISTEN: Duration = Duration::from_secs(2);
/// Service calls timed.
const CALLS: usize = 20;

/// Checks a node without changing anything. Blocks for some seconds.
pub fn check_node(robot: &Robot, options: XsSdkOptions) -> Result<CheckReport, ConnectError> {
    let mut session = Session::open(robot, options)?;
    let mut findings = Vec::new();
    let rate = listen(&mut session, &mut findings)?;
    let mut round_trips = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let asked = Instant::now();
        session.info()?;
        round_trips.push(asked.elapsed().as_secs_f64());
    }
    match session.survey() {
        Ok(()) => findings.push(Finding::good("joints, limits, commanders", "as described", "as described")),
        Err(error) => {
            let bad = Finding::good("joints, limits, commanders", error.to_string(), "as described");
            findings.push(bad.graded(Grade::Bad, "see what was found"));
        }
    }
    servos(&mut session, &mut findings)?;
    let info = session.info()?;
    findings.push(Finding::good("operating mode of the arm", info.mode, "set when the arm is activated"));
    // Not a defect of this arm but of every xs_sdk: the operator should know each time.
    findings.push(Finding::good("command time-out of the node", "none", "none: xs_sdk has none").graded(
        Grade::Doubtful,
        "if this program is killed the node holds the last position; in velocity mode a guard process stops the arm, and \
         `visuomotor guard --listen` on the node's host does so too when this machine or the network is lost",
    ));
    Ok(CheckReport {
        robot: session.arm.clone(),
        driver: "ros2".into(),
        link: session.link.clone(),
        round_trips,
        rate_hz: Some(rate),
        findings,
    })
}

fn listen(session: &mut Session, findings: &mut Vec<Finding>) -> Result<f64, ConnectError> {
    let (order, range) = (session.order, session.range);
    let Some(mut topics) = session.topics() else { return Ok(0.0) };
    let started = Instant::now();
    let (mut count, mut bad, mut example, mut longest) = (0u32, 0u32, String::new(), Duration::ZERO);
    let mut last = started;
    while started.elapsed() < LISTEN {
        let left = LISTEN.saturating_sub(started.elapsed());
        let Some(message) = topics.states.wait(left).map_err(|error| session.link_error(&error))? else { break };
        longest = longest.max(last.elapsed());
        last = Instant::now();
        count += 1;
        if let Err(why) = order.read(&message, &range) {
            bad += 1;
            example = why.text();
        }
    }
    longest = longest.max(last.elapsed());
    let rate = f64::from(count) / started.elapsed().as_secs_f64();
    let expected = format!("{STATE_RATE} Hz within 10 %");
    let found = Finding::good("rate of joint_states", format!("{rate:.1} Hz"), expected);
    let grade = if rate >= 0.9 * STATE_RATE { Grade::Good } else { Grade::Doubtful };
    findings.push(found.graded(grade, "set the USB adapter's latency timer to 1 ms, and update_rate to 100"));
    let limit = session.options.silence;
    let found = Finding::good(
        "longest gap of joint_states",
        format!("{:.0} ms", longest.as_secs_f64() * 1e3),
        format!("below {:.0} ms", limit * 1e3),
    );
    let grade = if longest.as_secs_f64() < limit { Grade::Good } else { Grade::Bad };
    findings.push(found.graded(grade, "another program may be reading registers; end it"));
    let found = Finding::good("implausible states", format!("{bad} of {count} {example}"), "0");
    let grade = if bad == 0 { Grade::Good } else { Grade::Bad };
    findings.push(found.graded(grade, "look at the node's log: servo cable, power, or an encoder"));
    Ok(rate)
}

/// Temperature, errors and torque of each servo the node lists (it hides the second servos of shoulder and elbow).
fn servos(session: &mut Session, findings: &mut Vec<Finding>) -> Result<(), ConnectError> {
    let errors = session.registers(("group", ALL), "Hardware_Error_Status")?;
    let temperatures = session.registers(("group", ALL), "Present_Temperature")?;
    let watchdogs = session.registers(("group", ALL), "Bus_Watchdog")?;
    for servo in 0..7 {
        let name = JOINTS.get(servo).copied().unwrap_or(GRIPPER);
        let bits = errors[servo] as u32 & 0xff;
        let words = if bits == 0 { "none".to_string() } else { hardware_error_text(bits) };
        let grade = if bits == 0 { Grade::Good } else { Grade::Bad };
        let fix = "clear the cause; the arm reboots the servo when it recovers";
        findings.push(Finding::good(format!("servo {name} error"), words, "none").graded(grade, fix));
        let (warm, hot) = match servo {
            0..6 => (
                i32::from(servo_of_joint(servo).model.max_temperature()) - 15,
                servo_of_joint(servo).model.max_temperature(),
            ),
            _ => (57, 72),
        };
        let grade = match temperatures[servo] {
            value if value < warm => Grade::Good,
            value if value < i32::from(hot) => Grade::Doubtful,
            _ => Grade::Bad,
        };
        let found = format!("{} degC", temperatures[servo]);
        let expected = format!("below {warm} degC; it shuts down at {hot} degC");
        findings.push(
            Finding::good(format!("servo {name} temperature"), found, expected).graded(grade, "let it cool down"),
        );
    }
    let tripped = watchdogs.iter().any(|value| *value == 255 || *value < 0);
    let found =
        Finding::good("bus watchdogs", format!("{watchdogs:?}"), "not tripped; armed when the arm is activated");
    let grade = if tripped { Grade::Doubtful } else { Grade::Good };
    findings.push(found.graded(grade, "activation clears them"));
    Ok(())
}
