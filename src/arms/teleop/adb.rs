//! The host protocol of adb's server, which forwards to Android devices.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Why adb's server gives no log.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdbError {
    /// It cannot be reached.
    #[error("{0}")]
    Link(#[from] io::Error),
    /// It refused a request, in its words.
    #[error("adb refused {request:?}: {why}")]
    Refused { request: String, why: String },
}

impl AdbError {
    /// Cause and fix; the serial numbers are requested where one must be chosen.
    pub(super) fn explain(&self, address: &str) -> (String, String) {
        let Self::Refused { why, .. } = self else {
            return (
                self.to_string(),
                "run `adb devices`, which starts adb's server, and see that it lists the headset".into(),
            );
        };
        if why.contains("unauthorized") {
            let cause = format!("the headset has not allowed this computer; {self}");
            return (
                cause,
                "put the headset on, allow USB debugging in it (always from this computer), then start again".into(),
            );
        }
        let choose = why.contains("more than one");
        if choose || why.contains("not found") {
            let known = match devices(address) {
                Ok(known) if known.is_empty() => "none".to_string(),
                Ok(known) => known.join(", "),
                Err(_) => "unknown, run `adb devices`".to_string(),
            };
            let cause = if choose { "several devices are connected and none is chosen" } else { "no such device" };
            return (
                format!("{cause}; {self}; connected: {known}"),
                "choose one with --device-serial SERIAL, or `serial` in the launch file's [teleop]".into(),
            );
        }
        if why.contains("offline") {
            return (
                self.to_string(),
                "unplug the headset, plug it in again, and see that `adb devices` lists it as `device`".into(),
            );
        }
        let fix =
            "plug the headset in, allow USB debugging in it, run `adb devices`, and start the program of oculus_reader";
        (self.to_string(), fix.into())
    }
}

/// Connected devices with their states, as `SERIAL (device)` or `SERIAL (unauthorized)`.
fn devices(address: &str) -> Result<Vec<String>, AdbError> {
    let mut adb = request(address, &["host:devices"])?;
    let mut length = [0; 4];
    adb.read_exact(&mut length)?;
    let length = std::str::from_utf8(&length).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let length = length.ok_or_else(|| io::Error::other("adb sent no length"))?;
    let mut text = String::new();
    adb.take(length).read_to_string(&mut text)?;
    let device = |line: &str| {
        let (serial, state) = line.split_once('\t')?;
        Some(format!("{} ({})", printable(serial), printable(state)))
    };
    Ok(text.lines().filter_map(device).collect())
}

/// Speaks adb's host protocol: four hexadecimal digits of length and the request; `OKAY`, or `FAIL` and why.
pub(super) fn request(address: &str, requests: &[&str]) -> Result<TcpStream, AdbError> {
    let patience = Duration::from_secs(3);
    let place =
        address.parse().map_err(|_| io::Error::other(format!("{address} is no address like 127.0.0.1:5037")))?;
    let mut adb = TcpStream::connect_timeout(&place, patience)?;
    adb.set_read_timeout(Some(patience))?;
    adb.set_write_timeout(Some(patience))?;
    for request in requests {
        adb.write_all(format!("{:04x}{request}", request.len()).as_bytes())?;
        let mut reply = [0; 4];
        adb.read_exact(&mut reply)?;
        if &reply != b"OKAY" {
            let mut why = String::new();
            // A length and a text; whatever arrives of it is reported.
            let _ = (&mut adb).take(256).read_to_string(&mut why);
            let why = printable(why.get(4..).unwrap_or(&why).lines().next().unwrap_or_default());
            return Err(AdbError::Refused { request: (*request).into(), why });
        }
    }
    Ok(adb)
}

/// Another program's words without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}
