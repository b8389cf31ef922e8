//! ROS 2 round trips beside Python's `cyclonedds`, in turns within one run:
//!
//! - a 7-joint JointState: ours to a Python echo, and Python to the same Python echo;
//! - a 640x480 rgb8 Image: ours to an echo of ours in another process, and Python to a Python echo.
//!
//! `cargo bench --bench ros2 --no-default-features --features ros2,jazzy -- [ROUNDS [STATES [IMAGES]]] [--out FILE]`
//! (5 rounds of 1000 states and 60 images). Needs `.deps/python` with `cyclonedds==11.0.1`.
//! Everything is on loopback, reliable, keep last, two processes. `--out` keeps every sample as JSON.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use visuomotor::transport::ros2::messages::builtin::Time;
use visuomotor::transport::ros2::messages::sensor::{Image, JointState};
use visuomotor::transport::ros2::{Qos, RosMessage, RosNode, RosSettings};

/// Round trips before those that count.
const WARM: usize = 20;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn python() -> PathBuf {
    let python = root().join(".deps/python/bin/python");
    assert!(python.exists(), "{} is missing: run `cargo xtask setup`", python.display());
    python
}

/// Another process that prints `ready`.
struct Peer(Child);

impl Peer {
    fn start(command: &mut Command) -> (Self, BufReader<std::process::ChildStdout>) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a peer starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it says something");
        assert_eq!(line.trim(), "ready");
        (Self(child), output)
    }

    fn python(role: &str, domain: u16, rest: &[String]) -> (Self, BufReader<std::process::ChildStdout>) {
        let script = root().join("tests/ros2/peer.py");
        Self::start(Command::new(python()).arg(script).args([role, &domain.to_string()]).args(rest))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

trait Numbered: RosMessage {
    fn number(&mut self) -> &mut Time;
}

impl Numbered for JointState {
    fn number(&mut self) -> &mut Time {
        &mut self.header.stamp
    }
}

impl Numbered for Image {
    fn number(&mut self) -> &mut Time {
        &mut self.header.stamp
    }
}

fn node(name: &str, domain: u16) -> RosNode {
    RosNode::start(RosSettings::loopback(name, domain)).expect("a node starts on loopback")
}

/// Seconds of `count` round trips through an echo in another process, and how many were lost.
fn ping<M: Numbered>(domain: u16, mut message: M, count: usize) -> (Vec<f64>, usize) {
    let node = node("ping", domain);
    let publisher = node.publisher::<M>("/ping", Qos::Reliable).expect("a publisher");
    let mut subscriber = node.subscriber::<M>("/pong", Qos::Reliable).expect("a subscriber");
    publisher.wait_for_subscriber(Duration::from_secs(20)).expect("the echo is there");
    let (mut seconds, mut lost, mut number) = (Vec::new(), 0, 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while seconds.len() < count + WARM && Instant::now() < deadline {
        number += 1;
        message.number().sec = number;
        let sent = message.clone();
        let started = Instant::now();
        publisher.publish(sent).expect("it is sent");
        let mut answered = false;
        while !answered && started.elapsed() < Duration::from_secs(1) {
            let left = Duration::from_secs(1).saturating_sub(started.elapsed());
            let back = subscriber.wait(left).expect("it is received");
            answered = back.is_some_and(|mut back| back.number().sec == number);
        }
        match answered {
            true => seconds.push(started.elapsed().as_secs_f64()),
            // Before the echo has discovered us nothing comes back.
            false if seconds.is_empty() => {}
            false => lost += 1,
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    (seconds.split_off(WARM.min(seconds.len())), lost)
}

fn python_ping(role: &str, domain: u16, count: usize) -> (Vec<f64>, usize) {
    let (_peer, mut output) = Peer::python(role, domain, &[count.to_string()]);
    let mut text = String::new();
    output.read_to_string(&mut text).expect("it answers");
    let answer: Value = serde_json::from_str(&text).expect("it answers in JSON");
    let seconds = answer["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    (seconds, answer["lost"].as_u64().unwrap_or(0) as usize)
}

fn echo(domain: u16) {
    let node = node("echo", domain);
    let publisher = node.publisher::<Image>("/pong", Qos::Reliable).expect("a publisher");
    let mut subscriber = node.subscriber::<Image>("/ping", Qos::Reliable).expect("a subscriber");
    println!("ready");
    // Killed by its parent.
    loop {
        if let Some(image) = subscriber.wait(Duration::from_millis(500)).expect("it is received") {
            let _ = publisher.publish(image);
        }
    }
}

fn state() -> JointState {
    let mut state = JointState {
        name: (0..7).map(|i| format!("joint_{i}")).collect(),
        position: vec![0.5; 7],
        velocity: vec![0.0; 7],
        effort: vec![0.0; 7],
        ..JointState::default()
    };
    state.header.frame_id = "base".into();
    state
}

fn image() -> Image {
    let data = (0..640 * 480 * 3u32).map(|i| (i % 251) as u8).collect();
    Image { height: 480, width: 640, encoding: "rgb8".into(), step: 1920, data, ..Image::default() }
}

fn quantile(seconds: &[f64], q: f64) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * q) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|a| a == "--echo") {
        return echo(arguments[1].parse().expect("a domain"));
    }
    let out = arguments.iter().position(|a| a == "--out").map(|at| {
        arguments.remove(at);
        PathBuf::from(arguments.remove(at))
    });
    let number = |at: usize, otherwise| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (rounds, states, images) = (number(0, 5), number(1, 1000), number(2, 60));
    let domain = 101;
    let names = ["state: ours, Python echo", "state: Python, Python echo", "image: ours", "image: Python"];
    let mut cells: [(Vec<f64>, usize); 4] = Default::default();
    for round in 0..rounds {
        // Each round reverses the order.
        let order = if round % 2 == 0 { [0, 1, 2, 3] } else { [3, 2, 1, 0] };
        for cell in order {
            let (seconds, lost) = match cell {
                0 => {
                    let _echo = Peer::python("echo-state", domain, &[]);
                    ping(domain, state(), states)
                }
                1 => {
                    let _echo = Peer::python("echo-state", domain, &[]);
                    python_ping("ping-state", domain, states)
                }
                2 => {
                    let program = std::env::current_exe().expect("its own path");
                    let _echo = Peer::start(Command::new(program).args(["--echo", &domain.to_string()]));
                    ping(domain, image(), images)
                }
                _ => {
                    let _echo = Peer::python("echo-image", domain, &[]);
                    python_ping("ping-image", domain, images)
                }
            };
            cells[cell].0.extend(seconds);
            cells[cell].1 += lost;
        }
        println!("round {} of {rounds} done", round + 1);
    }
    println!("{:<28} {:>6} {:>5} {:>12} {:>12} {:>12}", "round trip", "n", "lost", "p50 us", "p99 us", "max us");
    for (name, (seconds, lost)) in names.iter().zip(&cells) {
        let us = |q| 1e6 * quantile(seconds, q);
        println!("{name:<28} {:>6} {lost:>5} {:>12.1} {:>12.1} {:>12.1}", seconds.len(), us(0.5), us(0.99), us(1.0));
    }
    if let Some(out) = out {
        let cell = |(name, (seconds, lost)): (&&str, &(Vec<f64>, usize))| json!({"name": name, "lost": lost, "seconds": seconds});
        let all: Vec<Value> = names.iter().zip(&cells).map(cell).collect();
        std::fs::write(&out, json!({"rounds": rounds, "cells": all}).to_string()).expect("the file is written");
        println!("every sample: {}", out.display());
    }
}
