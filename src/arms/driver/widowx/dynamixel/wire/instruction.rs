//! Packets from the computer: [`Instruction`], written by the driver and read by the emulator.

use super::packet::{Packet, TooLong};
use super::{BROADCAST, Frame};

const PING: u8 = 0x01;
const READ: u8 = 0x02;
const WRITE: u8 = 0x03;
const REG_WRITE: u8 = 0x04;
const ACTION: u8 = 0x05;
const REBOOT: u8 = 0x08;
const SYNC_READ: u8 = 0x82;
const SYNC_WRITE: u8 = 0x83;
const FAST_SYNC_READ: u8 = 0x8A;

/// An instruction packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction<'a> {
    /// Request model and firmware.
    Ping {
        /// Servo, or [`BROADCAST`].
        id: u8,
    },
    /// Read registers of one servo.
    Read {
        /// Servo.
        id: u8,
        /// First address.
        address: u16,
        /// How many bytes.
        length: u16,
    },
    /// Write registers of one servo.
    Write {
        /// Servo, or [`BROADCAST`].
        id: u8,
        /// First address.
        address: u16,
        /// The bytes.
        data: &'a [u8],
    },
    /// Write registers when [`Instruction::Action`] comes.
    RegWrite {
        /// Servo, or [`BROADCAST`].
        id: u8,
        /// First address.
        address: u16,
        /// The bytes.
        data: &'a [u8],
    },
    /// Execute the registered write.
    Action {
        /// Servo, or [`BROADCAST`].
        id: u8,
    },
    /// Start the firmware again: the only way out of a hardware error.
    Reboot {
        /// Servo.
        id: u8,
    },
    /// Read the same registers of several servos; each replies for itself, in this order.
    SyncRead {
        /// All in one reply instead of one each.
        fast: bool,
        /// First address.
        address: u16,
        /// How many bytes of each.
        length: u16,
        /// Servos.
        ids: &'a [u8],
    },
    /// Write the same registers of several servos; there is no reply.
    SyncWrite {
        /// First address.
        address: u16,
        /// How many bytes for each.
        length: u16,
        /// For each servo its id and its bytes.
        blocks: &'a [u8],
    },
}

/// A packet with an unknown instruction or the wrong number of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstructionError {
    /// Not an instruction of this protocol, or one that is not needed here.
    #[error("instruction {0:#04x} is not known")]
    Unknown(u8),
    /// Too few or too many parameters.
    #[error("instruction {0:#04x} has a wrong number of parameters")]
    Length(u8),
}

impl<'a> Instruction<'a> {
    /// Writes the packet; returns its bytes.
    pub fn encode<'p>(&self, packet: &'p mut Packet) -> Result<&'p [u8], TooLong> {
        match *self {
            Self::Ping { id } => packet.start(id, PING),
            Self::Action { id } => packet.start(id, ACTION),
            Self::Reboot { id } => packet.start(id, REBOOT),
            Self::Read { id, address, length } => {
                packet.start(id, READ);
                packet.put_u16(address);
                packet.put_u16(length);
            }
            Self::Write { id, address, data } => {
                packet.start(id, WRITE);
                packet.put_u16(address);
                packet.put_all(data);
            }
            Self::RegWrite { id, address, data } => {
                packet.start(id, REG_WRITE);
                packet.put_u16(address);
                packet.put_all(data);
            }
            Self::SyncRead { fast, address, length, ids } => {
                packet.start(BROADCAST, if fast { FAST_SYNC_READ } else { SYNC_READ });
                packet.put_u16(address);
                packet.put_u16(length);
                packet.put_all(ids);
            }
            Self::SyncWrite { address, length, blocks } => {
                packet.start(BROADCAST, SYNC_WRITE);
                packet.put_u16(address);
                packet.put_u16(length);
                packet.put_all(blocks);
            }
        }
        packet.finish()
    }

    /// Reads a packet.
    pub fn parse(frame: Frame<'a>) -> Result<Self, InstructionError> {
        let Frame { id, instruction, parameters, .. } = frame;
        let wrong = InstructionError::Length(instruction);
        let u16_at = |at: usize| match parameters.get(at..at + 2) {
            Some(bytes) => Ok(u16::from_le_bytes([bytes[0], bytes[1]])),
            None => Err(wrong),
        };
        let rest = |at: usize| parameters.get(at..).filter(|rest| !rest.is_empty()).ok_or(wrong);
        let bare = |made: Self| if parameters.is_empty() { Ok(made) } else { Err(wrong) };
        match instruction {
            PING => bare(Self::Ping { id }),
            ACTION => bare(Self::Action { id }),
            REBOOT => bare(Self::Reboot { id }),
            READ if parameters.len() == 4 => Ok(Self::Read { id, address: u16_at(0)?, length: u16_at(2)? }),
            WRITE => Ok(Self::Write { id, address: u16_at(0)?, data: rest(2)? }),
            REG_WRITE => Ok(Self::RegWrite { id, address: u16_at(0)?, data: rest(2)? }),
            SYNC_READ | FAST_SYNC_READ => Ok(Self::SyncRead {
                fast: instruction == FAST_SYNC_READ,
                address: u16_at(0)?,
                length: u16_at(2)?,
                ids: rest(4)?,
            }),
            SYNC_WRITE => {
                let (length, blocks) = (u16_at(2)?, rest(4)?);
                let block = usize::from(length) + 1;
                if length == 0 || blocks.len() % block != 0 {
                    return Err(wrong);
                }
                Ok(Self::SyncWrite { address: u16_at(0)?, length, blocks })
            }
            READ => Err(wrong),
            other => Err(InstructionError::Unknown(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Framer, MAX_PACKET};
    use super::*;
    use proptest::prelude::*;

    fn encoded(instruction: Instruction<'_>) -> Vec<u8> {
        instruction.encode(&mut Packet::default()).unwrap().to_vec()
    }

    /// Examples of the e-manual, "DYNAMIXEL Protocol 2.0".
    #[test]
    fn the_manuals_packets_come_out() {
        assert_eq!(encoded(Instruction::Ping { id: 1 }), [0xFF, 0xFF, 0xFD, 0, 1, 3, 0, 1, 0x19, 0x4E]);
        let read = Instruction::Read { id: 1, address: 132, length: 4 };
        assert_eq!(encoded(read), [0xFF, 0xFF, 0xFD, 0, 1, 7, 0, 2, 0x84, 0, 4, 0, 0x1D, 0x15]);
        let write = Instruction::Write { id: 1, address: 116, data: &[0, 2, 0, 0] };
        assert_eq!(encoded(write), [0xFF, 0xFF, 0xFD, 0, 1, 9, 0, 3, 0x74, 0, 0, 2, 0, 0, 0xCA, 0x89]);
        let sync_read = Instruction::SyncRead { fast: false, address: 132, length: 4, ids: &[1, 2] };
        assert_eq!(encoded(sync_read), [0xFF, 0xFF, 0xFD, 0, 0xFE, 9, 0, 0x82, 0x84, 0, 4, 0, 1, 2, 0xCE, 0xFA]);
        assert_eq!(encoded(Instruction::Reboot { id: 1 }), [0xFF, 0xFF, 0xFD, 0, 1, 3, 0, 8, 0x2F, 0x4E]);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        let parse = |instruction: u8, parameters: &[u8]| {
            Instruction::parse(Frame { id: 1, instruction, parameters, raw: parameters }).map(|_| ())
        };
        assert_eq!(parse(PING, &[1]), Err(InstructionError::Length(PING)));
        assert_eq!(parse(READ, &[1, 0, 4]), Err(InstructionError::Length(READ)));
        assert_eq!(parse(READ, &[1, 0, 4, 0, 0]), Err(InstructionError::Length(READ)));
        assert_eq!(parse(WRITE, &[1, 0]), Err(InstructionError::Length(WRITE)));
        assert_eq!(parse(SYNC_WRITE, &[1, 0, 4, 0, 1, 1, 2, 3]), Err(InstructionError::Length(SYNC_WRITE)));
        assert_eq!(parse(SYNC_WRITE, &[1, 0, 0, 0, 1, 1]), Err(InstructionError::Length(SYNC_WRITE)));
        assert_eq!(parse(0x06, &[0xFF]), Err(InstructionError::Unknown(0x06)));
    }

    #[test]
    fn too_long_a_packet_is_refused() {
        let data = [0xFD; MAX_PACKET];
        assert_eq!(Instruction::Write { id: 1, address: 0, data: &data }.encode(&mut Packet::default()), Err(TooLong));
    }

    /// Bytes that often make `FF FF FD`.
    fn bytes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![3 => Just(0xFFu8), 2 => Just(0xFD), 2 => any::<u8>()], count)
    }

    proptest! {
        #[test]
        fn every_instruction_round_trips(id in 0u8..253, address: u16, length: u16, data in bytes(1..100), kind in 0..8) {
            let whole = &data[..data.len() - data.len() % 5];
            let instruction = match kind {
                0 => Instruction::Ping { id },
                1 => Instruction::Read { id, address, length },
                2 => Instruction::Write { id, address, data: &data },
                3 => Instruction::RegWrite { id, address, data: &data },
                4 => Instruction::Action { id },
                5 => Instruction::Reboot { id },
                6 if !whole.is_empty() => Instruction::SyncWrite { address, length: 4, blocks: whole },
                6 => Instruction::Ping { id },
                _ => Instruction::SyncRead { fast: data[0] == 0xFF, address, length, ids: &data },
            };
            let stream = encoded(instruction);
            // No header inside: the framer could start there.
            prop_assert!(!stream[4..].windows(4).any(|w| w == [0xFF, 0xFF, 0xFD, 0x00]));
            let mut count = 0;
            Framer::default().feed(&stream, |frame| {
                count += 1;
                assert_eq!(Instruction::parse(frame), Ok(instruction));
            });
            prop_assert_eq!(count, 1);
        }
    }
}
