//! The emulated arm's motion, written by its process and read by the judge: one line of numbers per physics turn.
//!
//! Stamps are `CLOCK_MONOTONIC`, which all processes of a machine share.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use visuomotor::driver::{Drive, Plant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::Timestamp;

/// The machine's monotonic clock \[ns\].
pub fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call, and the clock exists on Linux (clock_gettime(2)).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A plant that writes down every turn.
pub struct Watched<P> {
    plant: P,
    drive: Option<Drive>,
    /// It is held up until its motors carry it: an arm that fell while programs started would lie on its stops.
    held_up: bool,
    file: Arc<Mutex<BufWriter<File>>>,
}

impl<P: Plant> Watched<P> {
    /// Writes to `path`; a thread flushes it every few milliseconds, so that a kill loses next to nothing.
    pub fn new(plant: P, path: &Path) -> std::io::Result<Self> {
        let file = Arc::new(Mutex::new(BufWriter::new(File::create(path)?)));
        let flushed = Arc::clone(&file);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(std::time::Duration::from_millis(5));
                flushed.lock().expect("the writer does not panic").flush().expect("the trace can be written");
            }
        });
        Ok(Self { plant, drive: None, held_up: true, file })
    }
}

impl<P: Plant> Plant for Watched<P> {
    fn joints(&self) -> usize {
        self.plant.joints()
    }

    fn drive(&mut self, drive: Drive) {
        self.drive = Some(drive);
        self.held_up &= matches!(drive, Drive::Limp);
        self.plant.drive(drive);
    }

    fn drive_gripper(&mut self, fraction: f64) {
        self.plant.drive_gripper(fraction);
    }

    fn advance_to(&mut self, now: Timestamp) {
        if !self.held_up {
            self.plant.advance_to(now);
        }
        let state = self.plant.sense();
        let mut line = vec![monotonic() as f64 * 1e-9, now.as_secs_f64()];
        line.extend(state.joint_positions.iter());
        line.extend(state.joint_velocities.iter());
        let (mode, goal) = match self.drive {
            Some(Drive::Position(goal)) => (1.0, goal),
            Some(Drive::Velocity(goal)) => (2.0, goal),
            Some(Drive::Floating(goal) | Drive::Torque(goal)) => (3.0, goal),
            Some(Drive::Limp) | None => (0.0, JointVector::zeros(self.plant.joints())),
        };
        line.push(mode);
        line.extend(goal.iter());
        let mut file = self.file.lock().expect("the flusher does not panic");
        for value in line {
            file.write_all(&value.to_le_bytes()).expect("the trace can be written");
        }
    }

    fn sense(&self) -> Proprioception {
        self.plant.sense()
    }

    fn weight(&mut self) -> JointVector {
        self.plant.weight()
    }
}

/// One physics turn.
#[derive(Clone, Debug)]
pub struct Turn {
    /// When \[s\].
    pub at: f64,
    /// The same by the clock of the mechanics: a process that stalls catches up, and its timestamps are late \[s\].
    pub mechanics_at: f64,
    /// Joint positions \[rad\].
    pub positions: Vec<f64>,
    /// Joint velocities \[rad/s\].
    pub velocities: Vec<f64>,
    /// Kind of motor command: 0 nothing, 1 positions, 2 velocities, 3 torques.
    pub mode: u8,
    /// Its numbers \[rad, rad/s or Nm\].
    pub goal: Vec<f64>,
}

/// All turns so far, without an unfinished last one.
pub fn read(path: &Path, joints: usize) -> Vec<Turn> {
    turns(&std::fs::read(path).unwrap_or_default(), joints)
}

/// The newest turns, about a second of the fastest arm.
pub fn newest(path: &Path, joints: usize) -> Vec<Turn> {
    let size = 8 * (3 + 3 * joints) as u64;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let whole = file.metadata()?.len() / size;
        file.seek(SeekFrom::Start(whole.saturating_sub(1000) * size))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    turns(&read().unwrap_or_default(), joints)
}

fn turns(bytes: &[u8], joints: usize) -> Vec<Turn> {
    let numbers: Vec<f64> = bytes
        .chunks_exact(8)
        .map(|chunk| f64::from_le_bytes(chunk.try_into().expect("chunks of eight bytes")))
        .collect();
    numbers
        .chunks_exact(3 + 3 * joints)
        .map(|line| Turn {
            at: line[0],
            mechanics_at: line[1],
            positions: line[2..2 + joints].to_vec(),
            velocities: line[2 + joints..2 + 2 * joints].to_vec(),
            mode: line[2 + 2 * joints] as u8,
            goal: line[3 + 2 * joints..].to_vec(),
        })
        .collect()
}
