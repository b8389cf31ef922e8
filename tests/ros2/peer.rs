//! Programs that use a DDS implementation independent of ours.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running script of Cyclone DDS's Python binding; killed when dropped.
pub struct Peer {
    pub process: Child,
    pub output: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(script: &str, role: &str, domain: u16) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".deps/python/bin/python");
        assert!(
            python.exists(),
            "{} is missing: run `cargo xtask setup`, or `python3 -m venv .deps/python && .deps/python/bin/pip install \
             cyclonedds==11.0.1`",
            python.display()
        );
        let mut process = Command::new(python)
            .arg(root.join("tests").join(script))
            .args([role, &domain.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { process, output }
    }

    /// Ends it and returns what it received.
    pub fn end(mut self) -> Value {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
