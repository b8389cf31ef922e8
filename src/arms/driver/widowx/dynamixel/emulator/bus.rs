//! Which servo replies, and when.
//!
//! Replies are due after the request's and their own time on the wire (10 us a byte at 1 Mbaud) and the servos' return
//! delays; [`BusEmulator::take_due`] hands them out. Without pacing everything is due at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::motion::Motion;
use super::servo::EmulatedServo;
use crate::driver::widowx::dynamixel::wire::registers::{self, Register};
use crate::driver::widowx::dynamixel::wire::{
    BROADCAST, FastBlock, Framer, Instruction, InstructionError, Packet, Status, StatusError, encode_fast,
};
use crate::driver::widowx::limits::{JOINT_IDS, SERVOS};
use crate::driver::{ConnectError, Order, Orders, Plant};
use visuomotor_core::config::Robot;
use visuomotor_core::time::Timestamp;

/// Time of one byte on the wire at 1 Mbaud, 8N1.
const BYTE: Duration = Duration::from_micros(10);

/// Most replies kept for one request: a flood of requests whose replies are not read must not grow without bound.
const MOST_REPLIES: usize = 1024;

/// The arm's bus.
pub struct BusEmulator {
    servos: Vec<EmulatedServo>,
    motion: Motion,
    framer: Framer,
    packet: Packet,
    replies: VecDeque<(Timestamp, Vec<u8>)>,
    /// When the wire becomes free.
    free_at: Timestamp,
    paced: bool,
    fast: bool,
    instructions: u64,
    goals: Option<Vec<(Timestamp, [i32; 6])>>,
    orders: Orders,
}

/// Which servos are addressed, and do they reply?
fn is_for(servo: &EmulatedServo, id: u8) -> bool {
    id == BROADCAST || servo.id() == id
}

/// The order an instruction makes; `None` where nothing is written.
fn ordered(instruction: &Instruction<'_>) -> Option<Order> {
    let (address, length) = match *instruction {
        Instruction::Write { address, data, .. } | Instruction::RegWrite { address, data, .. } => (address, data.len()),
        Instruction::SyncWrite { address, length, .. } => (address, usize::from(length)),
        Instruction::Action { .. } => return Some(Order::Motion),
        Instruction::Reboot { .. } => return Some(Order::Recovery),
        Instruction::Ping { .. } | Instruction::Read { .. } | Instruction::SyncRead { .. } => return None,
    };
    let written = usize::from(address)..usize::from(address) + length;
    let holds = |register: &Register| written.contains(&usize::from(register.address));
    let goals = [registers::GOAL_PWM, registers::GOAL_CURRENT, registers::GOAL_VELOCITY, registers::GOAL_POSITION];
    Some(if goals.iter().any(holds) {
        Order::Motion
    } else if holds(&registers::TORQUE_ENABLE) {
        Order::Torque
    } else if holds(&registers::OPERATING_MODE) {
        Order::Mode
    } else {
        Order::Setting
    })
}

impl BusEmulator {
    /// The nine servos as shipped, torque off, over this plant. Refuses any other arm than a WidowX.
    pub fn new(robot: &Robot, plant: Box<dyn Plant>) -> Result<Self, ConnectError> {
        crate::driver::widowx::limits::fits(robot, "emulated bus")?;
        let mut this = Self {
            servos: SERVOS.into_iter().map(EmulatedServo::factory_new).collect(),
            motion: Motion::new(robot, plant),
            framer: Framer::default(),
            packet: Packet::default(),
            replies: VecDeque::new(),
            free_at: Timestamp::ZERO,
            paced: true,
            fast: true,
            instructions: 0,
            goals: None,
            orders: Orders::default(),
        };
        this.motion.advance(Timestamp::ZERO, &mut this.servos);
        // Powered up in the plant's pose: goals are where the servos stand.
        this.power_cycle();
        Ok(this)
    }

    /// Replies take their time on the wire (the default), or none.
    pub fn set_paced(&mut self, paced: bool) {
        self.paced = paced;
    }

    /// Does the firmware support fast sync read? Silent if not, as old firmware.
    pub fn set_fast_sync_read(&mut self, known: bool) {
        self.fast = known;
    }

    /// Records every set of goal positions written from now on.
    pub fn record_goals(&mut self) {
        self.goals = Some(Vec::new());
    }

    /// Goal positions of the joints \[ticks\] in the order they were written.
    pub fn recorded_goals(&self) -> &[(Timestamp, [i32; 6])] {
        self.goals.as_deref().unwrap_or_default()
    }

    /// The orders it received.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Number of instructions understood so far.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// The first servo with this id.
    pub fn servo(&self, id: u8) -> Option<&EmulatedServo> {
        self.servos.iter().find(|servo| servo.id() == id)
    }

    /// The same, for changing it without bus traffic.
    pub fn servo_mut(&mut self, id: u8) -> Option<&mut EmulatedServo> {
        self.servos.iter_mut().find(|servo| servo.id() == id)
    }

    /// Sets a register of a servo without bus traffic.
    pub fn set(&mut self, id: u8, register: &Register, value: i32) {
        if let Some(servo) = self.servo_mut(id) {
            servo.set(register, value);
        }
    }

    /// Unplugs a servo's cable, or plugs it in again.
    pub fn unplug_servo(&mut self, id: u8, out: bool) {
        if let Some(servo) = self.servo_mut(id) {
            servo.unplugged = out;
        }
    }

    /// A servo fails with these hardware error bits; `lasting` ones return after a reboot.
    pub fn inject_fault(&mut self, id: u8, bits: u8, lasting: bool) {
        if let Some(servo) = self.servo_mut(id) {
            servo.persistent_error = if lasting { bits } else { 0 };
            servo.inject_fault(bits);
        }
    }

    /// Power cycle: RAM is as at power-up, torque off.
    pub fn power_cycle(&mut self) {
        self.servos.iter_mut().for_each(EmulatedServo::power_cycle);
        self.replies.clear();
        self.framer.clear();
    }

    /// The mechanics behind the motors.
    pub fn plant(&self) -> &dyn Plant {
        self.motion.plant()
    }

    /// Replaces the mechanics behind the motors.
    pub fn replace_plant(&mut self, plant: Box<dyn Plant>) {
        self.motion.replace_plant(plant);
    }

    /// Advances servos and plant to `now`.
    pub fn advance(&mut self, now: Timestamp) {
        self.motion.advance(now, &mut self.servos);
    }

    /// Bytes arrive from the computer.
    pub fn receive(&mut self, now: Timestamp, bytes: &[u8]) {
        self.advance(now);
        if self.paced {
            self.free_at = self.free_at.max(now) + BYTE * bytes.len() as u32;
        } else {
            self.free_at = now;
        }
        let mut framer = std::mem::take(&mut self.framer);
        framer.feed(bytes, |frame| match Instruction::parse(frame) {
            Ok(instruction) => {
                self.instructions += 1;
                if let Some(order) = ordered(&instruction) {
                    self.orders.note(order);
                }
                self.execute(now, instruction);
            }
            // Our own replies do not come back here; a status sent by another master is ignored.
            Err(InstructionError::Unknown(0x55)) => {}
            Err(error) => self.complain(now, frame.id, error),
        });
        self.framer = framer;
        self.advance(now);
    }

    /// Appends replies that are due by now.
    pub fn take_due(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        while self.replies.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, bytes)) = self.replies.pop_front() {
                out.extend(bytes);
            }
        }
    }

    /// When the next reply is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.replies.front().map(|(due, _)| *due)
    }

    fn complain(&mut self, now: Timestamp, id: u8, error: InstructionError) {
        let code = match error {
            InstructionError::Unknown(_) => StatusError::Instruction,
            InstructionError::Length(_) => StatusError::DataLength,
        };
        self.each(now, id, |servo| (servo.level() == 2).then(|| (code as u8 | servo.alert(), Vec::new())));
    }

    /// Executes an instruction on every servo addressed by `id`; its replies are sent.
    fn each(&mut self, now: Timestamp, id: u8, mut act: impl FnMut(&mut EmulatedServo) -> Option<(u8, Vec<u8>)>) {
        let mut answers: Vec<(Duration, Vec<u8>)> = Vec::new();
        for servo in &mut self.servos {
            if !is_for(servo, id) || !servo.listens(now) {
                continue;
            }
            servo.packet_received(now);
            let Some((error, parameters)) = act(servo) else { continue };
            let status = Status { id: servo.id(), error, parameters: &parameters };
            if let Ok(bytes) = status.encode(&mut self.packet) {
                answers.push((servo.return_delay(), bytes.to_vec()));
            }
        }
        // Broadcast replies come one after the other; two servos with one id reply at once, and a driver that pulls the line low
        // wins.
        if id != BROADCAST
            && let [(delay, first), (other, second)] = &mut answers[..]
            && delay == other
        {
            let length = first.len().max(second.len());
            first.resize(length, 0xFF);
            second.resize(length, 0xFF);
            first.iter_mut().zip(second.iter()).for_each(|(a, b)| *a &= b);
            answers.truncate(1);
        }
        for (delay, bytes) in answers {
            self.send(delay, bytes);
        }
    }

    fn send(&mut self, delay: Duration, bytes: Vec<u8>) {
        if self.paced {
            self.free_at = self.free_at + delay + BYTE * bytes.len() as u32;
        }
        if self.replies.len() < MOST_REPLIES {
            self.replies.push_back((self.free_at, bytes));
        }
    }

    fn execute(&mut self, now: Timestamp, instruction: Instruction<'_>) {
        let said = |result: Result<(), StatusError>, servo: &EmulatedServo, id: u8| {
            let error = result.err().map_or(0, |error| error as u8) | servo.alert();
            (id != BROADCAST && servo.level() == 2).then(|| (error, Vec::new()))
        };
        match instruction {
            Instruction::Ping { id } => self.each(now, id, |servo| {
                let model = servo.get(&registers::MODEL_NUMBER) as u16;
                let [low, high] = model.to_le_bytes();
                Some((servo.alert(), vec![low, high, servo.get(&registers::FIRMWARE) as u8]))
            }),
            Instruction::Read { id, address, length } if id != BROADCAST => self.each(now, id, |servo| {
                (servo.level() >= 1).then(|| match servo.read(address, length) {
                    Ok(bytes) => (servo.alert(), bytes.to_vec()),
                    Err(error) => (error as u8 | servo.alert(), Vec::new()),
                })
            }),
            Instruction::Read { .. } => {}
            Instruction::Write { id, address, data } => {
                self.each(now, id, |servo| {
                    let result = servo.write(address, data);
                    said(result, servo, id)
                });
                self.shadows(now, id, address, data);
            }
            Instruction::RegWrite { id, address, data } => self.each(now, id, |servo| {
                let result = servo.register_write(address, data);
                said(result, servo, id)
            }),
            Instruction::Action { id } => self.each(now, id, |servo| {
                let result = servo.action();
                said(result, servo, id)
            }),
            Instruction::Reboot { id } => self.each(now, id, |servo| {
                let answer = said(Ok(()), servo, id);
                servo.reboot(now);
                answer
            }),
            Instruction::SyncRead { fast: true, address, length, ids } => self.fast_read(now, address, length, ids),
            Instruction::SyncRead { fast: false, address, length, ids } => {
                for id in ids.iter().filter(|id| **id != BROADCAST) {
                    self.each(now, *id, |servo| {
                        let bytes = servo.read(address, length).ok()?;
                        (servo.level() >= 1).then(|| (servo.alert(), bytes.to_vec()))
                    });
                }
            }
            Instruction::SyncWrite { address, length, blocks } => {
                for block in blocks.chunks_exact(1 + usize::from(length)) {
                    let (id, data) = (block[0], &block[1..]);
                    if id != BROADCAST {
                        self.each(now, id, |servo| {
                            let _ = servo.write(address, data);
                            None
                        });
                        self.shadows(now, id, address, data);
                    }
                }
            }
        }
        self.keep_goals(now, instruction);
    }

    /// Servos that obey `id` without replying.
    fn shadows(&mut self, now: Timestamp, id: u8, address: u16, data: &[u8]) {
        for servo in &mut self.servos {
            if servo.secondary() == Some(id) && servo.listens(now) {
                servo.packet_received(now);
                servo.apply_write(address, data);
            }
        }
    }

    /// One packet for all; a missing servo breaks the chain, and no servo receives anything.
    fn fast_read(&mut self, now: Timestamp, address: u16, length: u16, ids: &[u8]) {
        let mut blocks: Vec<(u8, u8, Vec<u8>)> = Vec::new();
        if !self.fast {
            return;
        }
        for id in ids {
            let Some(servo) = self.servos.iter_mut().find(|servo| servo.id() == *id) else { return };
            if !servo.listens(now) {
                return;
            }
            servo.packet_received(now);
            let Ok(bytes) = servo.read(address, length) else { return };
            blocks.push((*id, servo.alert(), bytes.to_vec()));
        }
        let parts = blocks.iter().map(|(id, error, data)| FastBlock { id: *id, error: *error, data });
        if let Ok(bytes) = encode_fast(&mut self.packet, blocks.len(), usize::from(length), parts) {
            let bytes = bytes.to_vec();
            self.send(Duration::ZERO, bytes);
        }
    }

    fn keep_goals(&mut self, now: Timestamp, instruction: Instruction<'_>) {
        let writes = matches!(instruction, Instruction::Write { .. } | Instruction::SyncWrite { .. });
        if !writes || self.goals.is_none() {
            return;
        }
        let of = |id: u8| self.servo(id).map_or(0, |servo| servo.get(&registers::GOAL_POSITION));
        let goals = JOINT_IDS.map(of);
        if let Some(all) = &mut self.goals {
            all.push((now, goals));
        }
    }
}

impl EmulatedServo {
    /// Status return level.
    fn level(&self) -> i32 {
        self.get(&registers::STATUS_RETURN_LEVEL)
    }
}
