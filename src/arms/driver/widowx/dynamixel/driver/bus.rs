//! Transactions on the servo bus: request, wait for the right reply, time out.
//!
//! A transaction ends at a deadline on the link's clock: the wire time of both packets plus a slack for adapter, kernel and servo.
//! The maker's SDK waits 34 ms for a lost reply; at 50 Hz that is more than a control period. Only a reply from the requested
//! servo, with the requested length, is accepted. Nothing allocates.

use std::time::Duration;

use crate::driver::widowx::dynamixel::wire::{
    FastBlocks, Framer, Instruction, OVERHEAD, Packet, Register, STATUS_OVERHEAD, Status,
};
use crate::transport::{ByteLink, LatencyTimer, LinkError};
use visuomotor_core::time::Timestamp;

/// Time of one byte on the wire at 1 Mbaud, 8N1.
const BYTE: Duration = Duration::from_micros(10);

/// Waiting beyond the wire time \[ms\]: a USB frame each way, the servo's own time, a late wake-up of this thread.
const SLACK: Duration = Duration::from_micros(2500);

/// Most servos of a sync read.
const MAX_SERVOS: usize = 16;

/// Why a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The link itself.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// No reply.
    #[error("no reply")]
    Silent,
    /// Something came, but no whole reply.
    #[error("a garbled reply")]
    Garbled,
    /// More than one servo replied.
    #[error("{0} replies")]
    Several(u32),
    /// The servo refused (error byte).
    #[error("refused: {}", crate::driver::widowx::dynamixel::wire::status_error_text(*.0))]
    Refused(u8),
}

/// Counters since the bus was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusCounters {
    /// Packets sent that require a reply.
    pub requests: u64,
    /// How many of them were repetitions.
    pub retries: u64,
    /// Replies that never came or were broken.
    pub misses: u64,
}

/// The bus behind a link.
pub struct ServoBus<L> {
    link: L,
    framer: Framer,
    packet: Packet,
    chunk: [u8; 256],
    /// Deadline of all transactions.
    limit: Option<Timestamp>,
    /// Factor on the slack.
    stretch: u32,
    /// The counters.
    pub counters: BusCounters,
}

impl<L: ByteLink> ServoBus<L> {
    /// A bus on this link.
    pub fn new(link: L) -> Self {
        let (framer, packet) = (Framer::default(), Packet::default());
        Self { link, framer, packet, chunk: [0; 256], limit: None, stretch: 1, counters: BusCounters::default() }
    }

    /// Broken packets and stray bytes so far: a growing count means that the bus is noisy, not dead.
    pub fn unreadable(&self) -> u64 {
        self.framer.broken() + self.framer.noise()
    }

    pub(super) fn link(&self) -> &L {
        &self.link
    }

    pub(super) fn name(&self) -> &str {
        self.link.name()
    }

    /// The link's time.
    pub fn now(&self) -> Timestamp {
        self.link.now()
    }

    pub(super) fn reopen(&mut self) -> Result<(), LinkError> {
        self.framer.clear();
        self.link.reopen()
    }

    /// Sets the deadline of all transactions, whatever their own would be; `None` removes it.
    pub(super) fn limit(&mut self, until: Option<Timestamp>) {
        self.limit = until;
    }

    /// Deadline of an exchange of this many bytes.
    fn deadline(&self, bytes: usize) -> Timestamp {
        let until = self.link.now() + self.patience(bytes);
        self.limit.map_or(until, |limit| limit.min(until))
    }

    /// How long an exchange of this many bytes may take.
    fn patience(&self, bytes: usize) -> Duration {
        let adapter = match self.link.latency_timer() {
            LatencyTimer::Milliseconds(ms) => Duration::from_millis(u64::from(ms)),
            LatencyTimer::Absent => Duration::ZERO,
        };
        BYTE * bytes as u32 + SLACK * self.stretch + adapter
    }

    /// Sends an instruction without a reply.
    pub fn send(&mut self, instruction: Instruction<'_>) -> Result<(), BusError> {
        let bytes = instruction.encode(&mut self.packet).map_err(|_| BusError::Garbled)?;
        Ok(self.link.write_all(bytes)?)
    }

    /// Sends two instructions without replies, in one piece.
    pub(super) fn send_both(&mut self, first: Instruction<'_>, second: Instruction<'_>) -> Result<(), BusError> {
        let mut both = [0; 256];
        let mut end = 0;
        for instruction in [first, second] {
            let bytes = instruction.encode(&mut self.packet).map_err(|_| BusError::Garbled)?;
            both.get_mut(end..end + bytes.len()).ok_or(BusError::Garbled)?.copy_from_slice(bytes);
            end += bytes.len();
        }
        Ok(self.link.write_all(&both[..end])?)
    }

    fn ask(&mut self, instruction: Instruction<'_>) -> Result<usize, BusError> {
        // A late reply to an earlier request is no reply to this one.
        self.link.discard_input()?;
        self.framer.clear();
        let bytes = instruction.encode(&mut self.packet).map_err(|_| BusError::Garbled)?;
        self.link.write_all(bytes)?;
        self.counters.requests += 1;
        Ok(bytes.len())
    }

    /// One request to one servo. The reply's parameters go to `out`, whose length they must have; returns the error byte, of which
    /// only the alert bit may be set.
    pub(super) fn transact(&mut self, id: u8, instruction: Instruction<'_>, out: &mut [u8]) -> Result<u8, BusError> {
        let sent = self.ask(instruction)?;
        let until = self.deadline(sent + STATUS_OVERHEAD + out.len());
        let before = self.unreadable();
        let mut answer = Answer::default();
        let mut came = false;
        while answer.count == 0 {
            let got = self.link.read(&mut self.chunk, until)?;
            if got == 0 {
                break;
            }
            came = true;
            let (framer, chunk) = (&mut self.framer, &self.chunk);
            framer.feed(&chunk[..got], |frame| answer.take(id, out, Status::parse(frame)));
        }
        if answer.count == 0 {
            self.framer.flush(|frame| answer.take(id, out, Status::parse(frame)));
        }
        match answer {
            Answer { count: 1, error } if error & 0x7F == 0 => Ok(error),
            Answer { count: 1, error } => Err(BusError::Refused(error)),
            Answer { count: 2.., .. } => Err(BusError::Several(answer.count)),
            _ => {
                self.counters.misses += 1;
                let garbled = came || before != self.unreadable();
                Err(if garbled { BusError::Garbled } else { BusError::Silent })
            }
        }
    }

    /// The same, up to `tries` times with a longer time-out each time; refusals and a lost link are not repeated.
    ///
    /// On a loaded computer the reply to an earlier request may come after the next one was sent. So two replies count only when
    /// they answer a request on a bus that had fallen silent, and nothing still owed is left for the next request.
    pub(super) fn transact_with_retries(
        &mut self,
        tries: u32,
        id: u8,
        instruction: Instruction<'_>,
        out: &mut [u8],
    ) -> Result<u8, BusError> {
        let mut last = Err(BusError::Silent);
        let mut quiet = true;
        for attempt in 0..tries {
            self.counters.retries += u64::from(attempt > 0);
            // A loaded computer wakes up late; outside the control path there is time for longer waits.
            self.stretch = 4u32.pow(attempt.min(3));
            last = self.transact(id, instruction, out);
            match last {
                Err(BusError::Silent | BusError::Garbled) => quiet = false,
                Err(BusError::Several(_)) if attempt + 1 < tries => {
                    self.hush()?;
                    quiet = true;
                }
                _ => break,
            }
        }
        self.stretch = 1;
        if !quiet && tries > 1 {
            self.hush()?;
        }
        last
    }

    /// Model and firmware of a servo; two replies mean two servos with this id.
    pub(super) fn ping(&mut self, id: u8) -> Result<(u16, u8), BusError> {
        let mut answer = self.ping_once(TRIES, id);
        for _ in 0..TRIES {
            let Err(BusError::Several(_)) = answer else { break };
            self.hush()?;
            match self.ping_once(1, id) {
                Err(BusError::Silent | BusError::Garbled) => {}
                certain => {
                    answer = certain;
                    break;
                }
            }
        }
        answer
    }

    /// Waits until nothing more comes.
    fn hush(&mut self) -> Result<(), BusError> {
        for _ in 0..TRIES {
            let until = self.link.now() + QUIET;
            if self.link.read(&mut self.chunk, until)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Requests up to `tries` times and keeps listening after the reply.
    fn ping_once(&mut self, tries: u32, id: u8) -> Result<(u16, u8), BusError> {
        let mut out = [0; 3];
        self.transact_with_retries(tries, id, Instruction::Ping { id }, &mut out)?;
        let mut more = 0;
        let until = self.deadline(STATUS_OVERHEAD + 3);
        loop {
            let got = self.link.read(&mut self.chunk, until)?;
            if got == 0 {
                break;
            }
            let (framer, chunk) = (&mut self.framer, &self.chunk);
            framer.feed(&chunk[..got], |_| more += 1);
        }
        if more > 0 {
            return Err(BusError::Several(1 + more));
        }
        Ok((u16::from_le_bytes([out[0], out[1]]), out[2]))
    }

    /// Reads registers of one servo.
    pub(super) fn read(&mut self, tries: u32, id: u8, address: u16, out: &mut [u8]) -> Result<u8, BusError> {
        let length = out.len() as u16;
        self.transact_with_retries(tries, id, Instruction::Read { id, address, length }, out)
    }

    /// Reads one register.
    pub(super) fn get(&mut self, id: u8, register: &Register) -> Result<i32, BusError> {
        let mut bytes = [0; 4];
        let bytes = &mut bytes[..usize::from(register.size.min(4))];
        self.read(TRIES, id, register.address, bytes)?;
        register.within(register.address, bytes).ok_or(BusError::Garbled)
    }

    /// Writes one register and waits for the servo's acknowledgement.
    pub(super) fn set(&mut self, id: u8, register: &Register, value: i32) -> Result<u8, BusError> {
        let bytes = value.to_le_bytes();
        let data = &bytes[..usize::from(register.size.min(4))];
        self.transact_with_retries(TRIES, id, Instruction::Write { id, address: register.address, data }, &mut [])
    }

    /// One sync read of servos without repetition. `out[k]` gets the reply of `ids[k]`; returns which servos replied, bit k for
    /// `ids[k]`, and whose alert bit was set.
    pub fn sync_read<const N: usize>(
        &mut self,
        fast: bool,
        address: u16,
        ids: &[u8],
        out: &mut [[u8; N]],
    ) -> Result<(u16, u16), BusError> {
        let sent = self.ask(Instruction::SyncRead { fast, address, length: N as u16, ids })?;
        let expected = if fast { 8 + ids.len() * (N + 4) } else { ids.len() * (STATUS_OVERHEAD + N) };
        let mut until = self.deadline(sent + expected);
        let mut bytes = 0;
        let all = ((1u32 << ids.len().min(MAX_SERVOS)) - 1) as u16;
        let (mut got, mut alerts) = (0u16, 0u16);
        let mut answered = |id: u8, error: u8, data: &[u8]| {
            let place = ids.iter().position(|asked| *asked == id);
            if let (Some(k), Ok(data), true) = (place, <&[u8; N]>::try_from(data), error & 0x7F == 0) {
                out[k] = *data;
                got |= 1 << k;
                alerts |= u16::from(error & 0x80 != 0) << k;
            }
            got == all
        };
        let mut done = false;
        while !done {
            let count = self.link.read(&mut self.chunk, until)?;
            let (framer, chunk) = (&mut self.framer, &self.chunk);
            let mut whole = |frame: crate::driver::widowx::dynamixel::wire::Frame<'_>| {
                if fast {
                    for block in FastBlocks::parse(frame, ids.len(), N).into_iter().flatten() {
                        done |= answered(block.id, block.error, block.data);
                    }
                } else if let Some(status) = Status::parse(frame) {
                    done |= answered(status.id, status.error, status.parameters);
                }
            };
            if count == 0 {
                framer.flush(&mut whole);
                break;
            }
            framer.feed(&chunk[..count], &mut whole);
            bytes += count;
            if bytes >= expected {
                // All have replied, some garbled; only stuffing may still come.
                until = until.min(self.link.now() + 20 * BYTE);
            }
        }
        let missing = ids.len() as u32 - got.count_ones();
        self.counters.misses += u64::from(missing);
        Ok((got, alerts))
    }

    /// Wire time of a request to one servo for `length` bytes and its reply, with half of the slack: the least remaining budget for
    /// an attempt.
    pub(super) fn exchange_time(&self, length: usize) -> Duration {
        BYTE * (OVERHEAD + 4 + STATUS_OVERHEAD + length) as u32 + SLACK / 2
    }
}

/// Silence after which no more bytes are expected.
const QUIET: Duration = Duration::from_millis(50);

/// Attempts outside the control path.
pub(super) const TRIES: u32 = 4;

/// The result for the requested servo.
#[derive(Default)]
struct Answer {
    count: u32,
    error: u8,
}

impl Answer {
    fn take(&mut self, id: u8, out: &mut [u8], status: Option<Status<'_>>) {
        let Some(status) = status.filter(|status| status.id == id) else { return };
        // A refusal carries only its reason.
        let refusal = status.parameters.is_empty() && status.error & 0x7F != 0;
        if !refusal && status.parameters.len() != out.len() {
            return;
        }
        if self.count == 0 {
            self.error = status.error;
            if !refusal {
                out.copy_from_slice(status.parameters);
            }
        }
        self.count += 1;
    }
}
