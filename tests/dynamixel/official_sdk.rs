//! The manufacturer's own SDK (Python, `dynamixel-sdk`): its packets are ours byte for byte, and it commands our bus.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use visuomotor::driver::widowx::dynamixel::emulator::BusServer;
use visuomotor::driver::widowx::dynamixel::wire::{Instruction, Packet, registers};

use super::bench_station::*;

pub fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/python/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask setup`, or `python3 -m venv .deps/python && .deps/python/bin/pip install \
         dynamixel-sdk==4.1.0`",
        python.display()
    );
    python
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_array().map_or_else(Vec::new, |all| all.iter().map(|v| v.as_u64().unwrap() as u8).collect())
}

#[test]
fn the_sdks_packets_are_ours() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dynamixel.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap_or(0) as u16;
        let (id, address, length) = (number("id") as u8, number("address"), number("length"));
        let (data, ids, blocks) = (bytes(&case["data"]), bytes(&case["ids"]), bytes(&case["blocks"]));
        let instruction = match case["name"].as_str().unwrap() {
            "ping" => Instruction::Ping { id },
            "reboot" => Instruction::Reboot { id },
            "action" => Instruction::Action { id },
            "read" => Instruction::Read { id, address, length },
            "write" => Instruction::Write { id, address, data: &data },
            "reg_write" => Instruction::RegWrite { id, address, data: &data },
            "sync_read" => Instruction::SyncRead { fast: case["fast"].as_bool().unwrap(), address, length, ids: &ids },
            "sync_write" => Instruction::SyncWrite { address, length, blocks: &blocks },
            other => panic!("{other}"),
        };
        let mut packet = Packet::default();
        let (ours, sdk) = (instruction.encode(&mut packet).unwrap(), bytes(&case["bytes"]));
        if [&data, &blocks].iter().any(|all| all.windows(3).any(|three| three == [0xFF, 0xFF, 0xFD])) {
            // The protocol puts an FD behind FF FF FD; the SDK for Python (4.1.0) computes that and sends the packet without.
            let (head, body) = sdk[..sdk.len() - 2].split_at(7);
            let mut stuffed = head.to_vec();
            for (at, byte) in body.iter().enumerate() {
                stuffed.push(*byte);
                if at >= 2 && body[at - 2..=at] == [0xFF, 0xFF, 0xFD] {
                    stuffed.push(0xFD);
                    stuffed[5] += 1;
                }
            }
            assert_eq!(ours[..ours.len() - 2], stuffed, "{instruction:?}");
            continue;
        }
        assert_eq!(ours, sdk, "{instruction:?}");
    }
}

#[test]
fn the_sdk_commands_the_emulated_bus_and_sees_the_same_registers() {
    let server = BusServer::start(emulator(), None).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dynamixel/sdk_session.py");
    let output = Command::new(python()).arg(script).arg(server.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    for id in 1..=9 {
        let model = if id >= 8 { 1060 } else { 1020 };
        assert_eq!(seen["models"][id.to_string()], model);
        assert_eq!(seen["broadcast"][id.to_string()], serde_json::json!([model, 45]));
    }
    assert_eq!(seen["nobody"], true);
    assert_eq!(seen["watchdog"], 0);
    // Access, data limit, access: the e-manual's numbers.
    assert_eq!((&seen["locked"], &seen["limit"], &seen["read_only"]), (&7.into(), &6.into(), &7.into()));
    assert_eq!(seen["gain"], 640);
    assert_eq!(seen["positions"], seen["goals"]);
    assert_eq!(seen["fast"], seen["goals"]);
    assert_eq!(seen["shadow_goal"], seen["goals"]["2"]);
    assert_eq!(seen["light"], serde_json::json!([0, 1]));
    assert_eq!(seen["after_reboot"], serde_json::json!([0, 800]));
    let (bus, served) = server.finish().unwrap();
    served.unwrap();
    for id in [1u8, 2, 4, 6, 7, 8] {
        let position = bus.servo(id).unwrap().get(&registers::PRESENT_POSITION);
        if id != 1 {
            assert_eq!(seen["positions"][id.to_string()], position);
        }
    }
}
