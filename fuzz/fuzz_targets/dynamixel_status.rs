//! Any bytes in any pieces: the driver's side of the servo bus. Found packets must survive being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visuomotor::driver::widowx::dynamixel::wire::{FastBlocks, Framer, Packet, Status};

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (bytes, piece) = input;
    let mut framer = Framer::default();
    let mut packet = Packet::default();
    for part in bytes.chunks(usize::from(piece) + 1) {
        framer.feed(part, |frame| {
            if let Some(status) = Status::parse(frame) {
                let again = status.encode(&mut packet).expect("what fitted once fits again").to_vec();
                Framer::default().feed(&again, |frame| assert_eq!(Status::parse(frame), Some(status)));
            }
            if let Some(blocks) = FastBlocks::parse(frame, 7, 10) {
                assert_eq!(blocks.count(), 7);
            }
        });
    }
    framer.flush(|_| ());
    assert_eq!(framer.waiting(), 0);
});
