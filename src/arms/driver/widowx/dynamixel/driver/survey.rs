//! Is this the right arm, and is each servo configured correctly? Reads only; used before a start and by `visuomotor check`.

use super::bus::{BusError, ServoBus, TRIES};
use crate::driver::widowx::dynamixel::wire::registers::{self, RAM_START, Register, TABLE_LENGTH};
use crate::driver::widowx::dynamixel::wire::{hardware_error_text, units};
use crate::driver::widowx::limits::{Role, SERVOS, Servo, ServoModel};
use crate::driver::{ConnectError, Finding, Grade};
use crate::transport::{ByteLink, LatencyTimer};
use visuomotor_core::config::Robot;

/// Oldest firmware: 38 brought the bus watchdog, 42 profiles by time.
pub(super) const FIRMWARE: u8 = 42;

/// Longest return delay \[2 us\]: 50 us.
const RETURN_DELAY: i32 = 25;

/// Largest difference between two servos on one shaft \[ticks\]: 1.8 degrees, as much as pushes with 0.6 Nm.
const SHADOW_OFFSET: i32 = 20;

/// Supply \[0.1 V\]: usable and good.
const USABLE_VOLTAGE: [i32; 2] = [100, 140];
const GOOD_VOLTAGE: [i32; 2] = [110, 130];

/// How far below its shut-down temperature a servo may be started, and is good \[degC\].
const START_BELOW: i32 = 8;
const GOOD_BELOW: i32 = 15;

/// A servo with its whole control table.
pub(super) struct Facts {
    pub servo: &'static Servo,
    pub model: u16,
    pub firmware: u8,
    table: [u8; TABLE_LENGTH],
}

impl Facts {
    /// Value of a register when it was surveyed.
    pub fn get(&self, register: &Register) -> i32 {
        register.within(0, &self.table).unwrap_or(0)
    }

    pub fn torque_on(&self) -> bool {
        self.get(&registers::TORQUE_ENABLE) == 1
    }

    /// Value of a register of one byte, without a sign.
    pub fn byte(&self, register: &Register) -> u8 {
        self.get(register) as u8
    }
}

/// Reads one servo's model and its whole table.
fn facts<L: ByteLink>(bus: &mut ServoBus<L>, servo: &'static Servo) -> Result<Facts, BusError> {
    let (model, firmware) = bus.ping(servo.id)?;
    let mut table = [0; TABLE_LENGTH];
    let (eeprom, ram) = table.split_at_mut(usize::from(RAM_START));
    bus.read(TRIES, servo.id, 0, eeprom)?;
    bus.read(TRIES, servo.id, RAM_START, ram)?;
    Ok(Facts { servo, model, firmware, table })
}

/// Reads every servo of the arm.
pub(super) fn survey<L: ByteLink>(bus: &mut ServoBus<L>) -> Vec<(&'static Servo, Result<Facts, BusError>)> {
    SERVOS.iter().map(|servo| (servo, facts(bus, servo))).collect()
}

/// Why a servo that did not reply properly makes the arm unusable.
pub(super) fn absence(robot: &Robot, link: &str, servo: &Servo, error: BusError) -> ConnectError {
    let arm = robot.identity.name.clone();
    let (link, who) = (link.to_owned(), format!("servo {} ({})", servo.id, servo.name));
    match error {
        BusError::Silent => ConnectError::Silent {
            arm,
            link,
            who,
            seconds: 0.01,
            fix:
                "check the 12 V supply and the cable to this servo; another baud rate than 1 Mbaud or another id also \
                  looks like this (Dynamixel Wizard finds out)"
                    .into(),
        },
        BusError::Link(cause) => ConnectError::Link { arm, link, cause: cause.to_string(), fix: cause.fix().into() },
        BusError::Garbled | BusError::Several(_) => ConnectError::Unfit {
            arm,
            link,
            what: format!("the reply of {who}"),
            found: error.to_string(),
            expected: "one whole reply".into(),
            fix: "two servos with this id reply at once, or the cable is bad: connect servos one by one and give each \
                  its own id"
                .into(),
        },
        BusError::Refused(_) => ConnectError::Unfit {
            arm,
            link,
            what: format!("the reply of {who} to a read"),
            found: error.to_string(),
            expected: "its registers".into(),
            fix: "is this a servo of the X series with protocol 2.0?".into(),
        },
    }
}

/// A bad finding as a refusal.
pub(super) fn refusal(robot: &Robot, link: &str, finding: Finding) -> ConnectError {
    ConnectError::Unfit {
        arm: robot.identity.name.clone(),
        link: link.into(),
        what: finding.what,
        found: finding.found,
        expected: finding.expected,
        fix: finding.fix,
    }
}

fn graded(finding: Finding, grade: Grade, fix: &str) -> Finding {
    finding.graded(grade, fix)
}

fn good_or_bad(good: bool, finding: Finding, fix: &str) -> Finding {
    graded(finding, if good { Grade::Good } else { Grade::Bad }, fix)
}

/// The latency timer of the adapter.
pub(super) fn judge_timer(timer: &LatencyTimer) -> Finding {
    match timer {
        LatencyTimer::Milliseconds(ms) => {
            let grade = match ms {
                0 | 1 => Grade::Good,
                2 => Grade::Doubtful,
                _ => Grade::Bad,
            };
            let finding = Finding::good("latency timer", format!("{ms} ms"), "1 ms");
            graded(
                finding,
                grade,
                "install the arm's udev rule, or as root write 1 to the port's latency_timer in /sys",
            )
        }
        LatencyTimer::Absent => Finding::good("latency timer", "none (not an FTDI adapter)", "1 ms, or none"),
    }
}

/// All findings about one servo.
pub(super) fn judge(facts: &Facts, robot: &Robot) -> Vec<Finding> {
    let servo = facts.servo;
    let about = |what: &str| format!("servo {} ({}) {what}", servo.id, servo.name);
    let as_shipped = "set it back to the maker's value (Interbotix's xsarm_control does at its start)";
    let mut findings = Vec::new();
    let model =
        Finding::good(about("model"), ServoModel::name_of(facts.model), ServoModel::name_of(servo.model.number()));
    findings.push(good_or_bad(
        facts.model == servo.model.number(),
        model,
        "this is not the arm the description is of, or servos were swapped",
    ));
    let firmware = Finding::good(about("firmware"), facts.firmware.to_string(), format!("at least {FIRMWARE}"));
    findings.push(good_or_bad(facts.firmware >= FIRMWARE, firmware, "update it with Dynamixel Wizard 2"));
    let mut exact = |what: &str, found: i32, expected: i32, unit: &str| {
        let finding = Finding::good(about(what), format!("{found}{unit}"), format!("{expected}{unit}"));
        findings.push(good_or_bad(found == expected, finding, as_shipped));
    };
    exact("drive mode, reversal", facts.get(&registers::DRIVE_MODE) & 1, i32::from(servo.reversed), "");
    exact("secondary id", i32::from(facts.byte(&registers::SECONDARY_ID)), i32::from(servo.secondary), "");
    exact("least position", facts.get(&registers::MIN_POSITION), servo.min_position, " ticks");
    exact("largest position", facts.get(&registers::MAX_POSITION), servo.max_position, " ticks");
    exact("status return level", facts.get(&registers::STATUS_RETURN_LEVEL), 2, "");

    let fastest = robot.limits.joint_velocity.iter().copied().fold(0.0, f64::max);
    let (velocity, needed) = (facts.get(&registers::VELOCITY_LIMIT), units::raw_from_velocity(fastest));
    let finding = Finding::good(about("velocity limit"), format!("{velocity}"), format!("{needed} .. 131"));
    let grade = match velocity {
        v if v < needed => Grade::Bad,
        v if v > 131 => Grade::Doubtful,
        _ => Grade::Good,
    };
    findings.push(graded(finding, grade, as_shipped));

    let delay = i32::from(facts.byte(&registers::RETURN_DELAY));
    let finding = Finding::good(about("return delay"), format!("{} us", 2 * delay), "0 us");
    let grade = match delay {
        0 => Grade::Good,
        d if d <= RETURN_DELAY => Grade::Doubtful,
        _ => Grade::Bad,
    };
    findings.push(graded(finding, grade, "write 0 to Return Delay Time (9): nine such waits do not fit into a cycle"));

    let error = facts.byte(&registers::HARDWARE_ERROR);
    let finding = Finding::good(about("hardware error"), hardware_error_text(error), "none");
    findings.push(good_or_bad(
        error == 0,
        finding,
        "take the load off, let it cool, then recover or switch it off and on",
    ));

    let (warm, limit) = (facts.get(&registers::PRESENT_TEMPERATURE), i32::from(servo.model.max_temperature()));
    let finding =
        Finding::good(about("temperature"), format!("{warm} degC"), format!("below {} degC", limit - GOOD_BELOW));
    let grade = match warm {
        t if t < limit - GOOD_BELOW => Grade::Good,
        t if t < limit - START_BELOW => Grade::Doubtful,
        _ => Grade::Bad,
    };
    findings.push(graded(finding, grade, "let it cool down"));

    let volts = facts.get(&registers::PRESENT_VOLTAGE);
    let tenths = |v: i32| f64::from(v) * units::VOLTAGE_UNIT;
    let finding = Finding::good(
        about("voltage"),
        format!("{:.1} V", tenths(volts)),
        format!("{:.1} .. {:.1} V", tenths(GOOD_VOLTAGE[0]), tenths(GOOD_VOLTAGE[1])),
    );
    let within = |[low, high]: [i32; 2]| (low..=high).contains(&volts);
    let grade = match (within(GOOD_VOLTAGE), within(USABLE_VOLTAGE)) {
        (true, _) => Grade::Good,
        (false, true) => Grade::Doubtful,
        (false, false) => Grade::Bad,
    };
    findings.push(graded(finding, grade, "use the arm's own 12 V supply"));
    findings
}

/// Do the two servos on one shaft stand at the same angle? If not they work against each other and overload. Their homing offsets
/// are never written here: sources disagree on the sign, and a wrong one bends the arm.
pub(super) fn judge_pairs<L: ByteLink>(bus: &mut ServoBus<L>, all: &[Facts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for shadow in all {
        let Role::Shadow(joint) = shadow.servo.role else { continue };
        let Some(main) = all.iter().find(|facts| facts.servo.role == Role::Joint(joint)) else { continue };
        let [ours, theirs] = positions(bus, [shadow, main]);
        let apart = ours.wrapping_sub(theirs);
        let finding = Finding::good(
            format!("servo {} ({}) position against servo {}", shadow.servo.id, shadow.servo.name, main.servo.id),
            format!("{apart} ticks (homing offset {})", shadow.get(&registers::HOMING_OFFSET)),
            format!("at most {SHADOW_OFFSET} ticks"),
        );
        let fix = "the two servos of this joint fight: align the shadow's Homing Offset with the maker's procedure";
        // `unsigned_abs`: the difference of two garbled positions may be i32::MIN.
        findings.push(good_or_bad(apart.unsigned_abs() <= SHADOW_OFFSET as u32, finding, fix));
    }
    findings
}

/// Positions of two servos \[ticks\] from one request: the survey read them one after the other, and an arm that falls or is guided
/// by hand moves meanwhile. Returns the survey's where not both reply.
fn positions<L: ByteLink>(bus: &mut ServoBus<L>, servos: [&Facts; 2]) -> [i32; 2] {
    let mut out = [[0; 4]; 2];
    let ids = servos.map(|facts| facts.servo.id);
    let both = (0..TRIES).any(|_| {
        bus.sync_read(false, registers::PRESENT_POSITION.address, &ids, &mut out).is_ok_and(|(got, _)| got == 0b11)
    });
    if both { out.map(i32::from_le_bytes) } else { servos.map(|facts| facts.get(&registers::PRESENT_POSITION)) }
}
