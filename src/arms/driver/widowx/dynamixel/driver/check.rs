//! `visuomotor check`: is the bus fit to move the arm? Nothing moves and torque stays as it is.

use super::WATCHDOG;
use super::bus::ServoBus;
use super::survey::{Facts, judge, judge_pairs, judge_timer, survey};
use crate::driver::widowx::dynamixel::wire::registers;
use crate::driver::widowx::limits::{self, GRIPPER_ID, Role};
use crate::driver::{CheckReport, Finding, Grade};
use crate::transport::ByteLink;
use visuomotor_core::config::Robot;

/// Read cycles measured.
const CYCLES: usize = 200;

/// Ids of a control read.
const IDS: [u8; 7] = [1, 2, 4, 6, 7, 8, GRIPPER_ID];

/// Checks the link and every servo. The bus watchdog is armed, read back and disarmed on servos without torque.
pub fn check_bus<L: ByteLink>(link: L, robot: &Robot) -> CheckReport {
    let mut bus = ServoBus::new(link);
    let mut report = CheckReport {
        robot: robot.identity.name.clone(),
        driver: "dynamixel".into(),
        link: bus.name().into(),
        round_trips: Vec::new(),
        rate_hz: None,
        findings: vec![judge_timer(&bus.link().latency_timer())],
    };
    if let Err(error) = limits::fits(robot, bus.name()) {
        let finding = Finding::good("description", error.to_string(), "a WidowX 250 6-DoF within its servos' limits");
        report.findings.push(finding.graded(Grade::Bad, "name the right robot"));
        return report;
    }
    let mut all = Vec::new();
    for (servo, found) in survey(&mut bus) {
        match found {
            Ok(facts) => all.push(facts),
            Err(error) => {
                let finding =
                    Finding::good(format!("servo {} ({})", servo.id, servo.name), error.to_string(), "one whole reply");
                let fix = "check supply, cable, baud rate (1 M) and id; two servos may share this id";
                report.findings.push(finding.graded(Grade::Bad, fix));
            }
        }
    }
    for facts in &all {
        report.findings.extend(judge(facts, robot));
        report.findings.push(mode(facts));
        report.findings.push(watchdog(&mut bus, facts));
    }
    report.findings.extend(judge_pairs(&mut bus, &all));
    if all.len() == limits::SERVOS.len() {
        measure(&mut bus, &mut report, robot.identity.control_rate_hz);
    }
    report
}

fn mode(facts: &Facts) -> Finding {
    let servo = facts.servo;
    let found = facts.byte(&registers::OPERATING_MODE);
    let expected: &[u8] = if servo.role == Role::Gripper { &[16] } else { &[3, 5] };
    let finding = Finding::good(
        format!("servo {} ({}) operating mode", servo.id, servo.name),
        format!("{found}{}", if facts.torque_on() { ", torque on" } else { "" }),
        if servo.role == Role::Gripper { "16 (PWM)" } else { "3 (position) or 5 (current-based position)" },
    );
    let (grade, fix) = match (expected.contains(&found), facts.torque_on()) {
        (true, _) => (Grade::Good, ""),
        (false, false) => (Grade::Doubtful, "it is set at the start, while torque is off"),
        (false, true) => (Grade::Bad, "rest pose, support the arm, power off and on: the mode is locked under torque"),
    };
    finding.graded(grade, fix)
}

fn watchdog<L: ByteLink>(bus: &mut ServoBus<L>, facts: &Facts) -> Finding {
    let servo = facts.servo;
    let what = format!("servo {} ({}) bus watchdog", servo.id, servo.name);
    let expected = "can be armed at 200 ms";
    let before = facts.byte(&registers::BUS_WATCHDOG);
    if facts.torque_on() {
        // Clearing one could activate an old goal.
        let found =
            format!("{}, torque on: left as it is", if before > 127 { "expired".into() } else { before.to_string() });
        return Finding::good(what, found, expected);
    }
    let mut try_it = || -> Result<i32, super::bus::BusError> {
        bus.set(servo.id, &registers::BUS_WATCHDOG, 0)?;
        bus.set(servo.id, &registers::BUS_WATCHDOG, WATCHDOG)?;
        let armed = bus.get(servo.id, &registers::BUS_WATCHDOG)?;
        bus.set(servo.id, &registers::BUS_WATCHDOG, 0)?;
        Ok(armed)
    };
    match try_it() {
        Ok(WATCHDOG) => Finding::good(what, "armed at 200 ms, read back, disarmed", expected),
        Ok(other) => {
            Finding::good(what, format!("reads back {other}"), expected).graded(Grade::Bad, "update the firmware")
        }
        Err(error) => Finding::good(what, error.to_string(), expected).graded(Grade::Bad, "update the firmware"),
    }
}

fn measure<L: ByteLink>(bus: &mut ServoBus<L>, report: &mut CheckReport, needed: f64) {
    let mut incomplete = 0;
    let begin = bus.now();
    for _ in 0..CYCLES {
        let started = bus.now();
        let mut out = [[0; 10]; IDS.len()];
        match bus.sync_read(false, registers::PRESENT_CURRENT.address, &IDS, &mut out) {
            Ok((got, _)) if got.count_ones() as usize == IDS.len() => {
                report.round_trips.push(bus.now().since(started).as_secs_f64());
            }
            _ => incomplete += 1,
        }
    }
    let seconds = bus.now().since(begin).as_secs_f64();
    let rate = if seconds > 0.0 { CYCLES as f64 / seconds } else { f64::INFINITY };
    report.rate_hz = Some(rate);
    let finding = Finding::good(
        "read cycles of all joints",
        format!("{rate:.0} per second"),
        format!("at least {:.0}", 2.0 * needed),
    );
    let grade = match rate {
        r if r >= 2.0 * needed => Grade::Good,
        r if r >= 1.2 * needed => Grade::Doubtful,
        _ => Grade::Bad,
    };
    report.findings.push(finding.graded(grade, "set the adapter's latency timer and the servos' return delay"));
    let share = 100.0 * f64::from(incomplete) / CYCLES as f64;
    let finding = Finding::good("incomplete read cycles", format!("{share:.1} %"), "below 0.5 %");
    let grade = match share {
        s if s < 0.5 => Grade::Good,
        s if s < 5.0 => Grade::Doubtful,
        _ => Grade::Bad,
    };
    report.findings.push(finding.graded(grade, "check the cables between the servos"));
}
