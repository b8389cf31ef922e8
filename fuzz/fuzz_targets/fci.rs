//! Any bytes from a client of the emulated control box: refused or read, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visuomotor::driver::panda::fci::wire::{Command, Header, Version, decode_connect, decode_move};

fuzz_target!(|bytes: &[u8]| {
    if let Some(header) = Header::decode(bytes) {
        let payload = bytes.get(12..).unwrap_or_default();
        let again = Header::message(header.command, header.id, payload);
        assert_eq!(Header::decode(&again).map(|h| (h.command, h.id)), Some((header.command, header.id)));
        let _ = decode_connect(payload);
        for version in Version::ALL {
            let _ = decode_move(version, payload);
        }
    }
    for version in Version::ALL {
        let _ = Command::decode(version, bytes);
    }
});
