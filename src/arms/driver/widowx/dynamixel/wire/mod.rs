//! Dynamixel protocol 2.0 (ROBOTIS e-manual, "DYNAMIXEL Protocol 2.0"): packets, registers, units. Pure: no I/O, no
//! clock, no allocation; every buffer has a fixed size.
//!
//! Start at [`Instruction`] and [`Status`]; [`Framer`] finds packets in a noisy stream; [`registers`] names the control
//! table of the two servo models of the arm.

mod crc;
mod framer;
mod instruction;
mod packet;
pub mod registers;
mod status;
pub mod units;
mod words;

pub use crc::crc16;
pub use framer::{Frame, Framer};
pub use instruction::{Instruction, InstructionError};
pub use packet::{MAX_PACKET, Packet, TooLong};
pub use registers::{Access, Register};
pub(crate) use status::encode_fast;
pub use status::{FastBlock, FastBlocks, Status, StatusError};
pub use words::{hardware_error_text, status_error_text};

/// Packets to this id go to every servo.
pub const BROADCAST: u8 = 0xFE;

/// Bytes of a packet around its parameters: header 4, id 1, length 2, instruction 1, CRC 2.
pub const OVERHEAD: usize = 10;

/// Bytes of a status packet around its parameters: as [`OVERHEAD`] and the error byte.
pub const STATUS_OVERHEAD: usize = OVERHEAD + 1;

/// Start of every packet.
pub(crate) const HEADER: [u8; 4] = [0xFF, 0xFF, 0xFD, 0x00];

/// Instruction byte of a status packet.
pub(crate) const STATUS: u8 = 0x55;
