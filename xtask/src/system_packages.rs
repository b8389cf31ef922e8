//! The system packages: Mesa's software renderer behind EGL (the simulation draws its camera images without a screen)
//! and a C++ compiler (torch-sys compiles a file of C++ against libtorch's headers); for tests, a browser.
//!
//! Checked first, so that a machine that has them is not changed and needs no privileges.

use crate::failure::Failure;
use crate::process::{answer, run_in_view};
use std::env;
use std::path::Path;
use std::process::Command;

/// The loader of EGL, Mesa's side of it, and llvmpipe.
const RENDERER: [&str; 3] = ["libegl1", "libegl-mesa0", "libgl1-mesa-dri"];

/// Installs the missing parts of the renderer and the compiler.
pub fn require_renderer_and_compiler() -> Result<(), Failure> {
    let mut missing = Vec::new();
    let compiler = compiler()?;
    if compiler.is_none() {
        missing.push("g++");
    }
    if answer("dpkg-query", &["--version"]).is_none() {
        return without_dpkg(compiler.is_some());
    }
    missing.extend(RENDERER.into_iter().filter(|name| !is_installed(name)));
    if missing.is_empty() {
        println!("    all there: {}, C++ compiler `{}`", RENDERER.join(", "), compiler.unwrap_or_default());
        return Ok(());
    }
    install(&missing)
}

/// Installs Chromium if it is missing: the tests of the web page render it as a user sees it. Only `cargo xtask test` needs it; a
/// robot does not.
pub fn require_browser() -> Result<(), Failure> {
    let program = env::var("CHROMIUM").ok().filter(|name| !name.trim().is_empty());
    if let Some(program) = program {
        if is_on_path(&program) {
            println!("    browser: `{program}`");
            return Ok(());
        }
        return Err(Failure::setup(format!(
            "CHROMIUM is `{program}`, which is not there: install it or unset CHROMIUM."
        )));
    }
    if is_on_path("chromium") {
        println!("    browser: chromium is there");
        return Ok(());
    }
    if answer("dpkg-query", &["--version"]).is_none() {
        return Err(Failure::setup(
            "missing: chromium, which the tests of the web page drive. Install it, or name it in CHROMIUM.",
        ));
    }
    install(&["chromium"])
}

/// Installs Debian packages with apt-get, as root or with a passwordless sudo.
pub fn install(packages: &[&str]) -> Result<(), Failure> {
    let by_hand = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    if answer("apt-get", &["--version"]).is_none() {
        return Err(Failure::setup(format!(
            "missing: {}. There is no apt-get here; install them (or what this system calls them) by hand.",
            packages.join(" ")
        )));
    }
    let is_root = answer("id", &["-u"]).as_deref() == Some("0");
    if !is_root && answer("sudo", &["-n", "true"]).is_none() {
        return Err(Failure::setup(format!(
            "missing system packages: {}. Installing them needs rights this account has not without a password; run\n  \
             sudo sh -c '{by_hand}'\nthen repeat.",
            packages.join(" ")
        )));
    }
    println!("    installing {}", packages.join(" "));
    let mut update = apt_get(is_root);
    update.args(["-qq", "update"]);
    let mut install = apt_get(is_root);
    install.args(["-qq", "install", "-y", "--no-install-recommends"]).args(packages);
    run_in_view(&mut update).and_then(|()| run_in_view(&mut install)).map_err(|complaint| {
        Failure::setup(format!(
            "system packages {} could not be installed: {complaint}\nIs the network there? By hand: {by_hand}",
            packages.join(" ")
        ))
    })
}

fn apt_get(is_root: bool) -> Command {
    let mut command = Command::new(if is_root { "env" } else { "sudo" });
    if !is_root {
        command.args(["-n", "env"]);
    }
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

/// Other distributions name their packages differently: check for the one required library and report its name.
fn without_dpkg(has_compiler: bool) -> Result<(), Failure> {
    if !has_compiler {
        return Err(Failure::setup(
            "missing: a C++ compiler (`c++`). Install this system's g++ or clang++, then repeat.",
        ));
    }
    let cache = answer("ldconfig", &["-p"]).or_else(|| answer("/sbin/ldconfig", &["-p"])).unwrap_or_default();
    if cache.contains("libEGL.so.1") {
        println!("    not a Debian, but libEGL.so.1 and a C++ compiler are there");
        return Ok(());
    }
    Err(Failure::setup(
        "missing: libEGL.so.1. Install this system's EGL loader and Mesa's drivers (Debian: libegl1 libegl-mesa0 \
         libgl1-mesa-dri), or pass --skip-system-packages to `cargo xtask setup`.",
    ))
}

fn is_installed(package: &str) -> bool {
    answer("dpkg-query", &["-W", "-f=${db:Status-Status}", package])
        .is_some_and(|status| status.contains("installed") && !status.contains("not-installed"))
}

/// The C++ compiler that torch-sys will call, if there is one: `$CXX` if set, else `c++`.
pub fn compiler() -> Result<Option<String>, Failure> {
    match env::var("CXX").ok().filter(|name| !name.trim().is_empty()) {
        None => Ok(is_on_path("c++").then(|| "c++".to_owned())),
        // It may carry arguments (`ccache g++`); the program comes first.
        Some(name) if name.split_whitespace().next().is_some_and(is_on_path) => Ok(Some(name)),
        Some(name) => Err(Failure::setup(format!("CXX is `{name}`, which is not there: install it or unset CXX."))),
    }
}

fn is_on_path(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).exists();
    }
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_programs_on_the_path() {
        assert!(is_on_path("sh"));
        assert!(is_on_path("/bin/sh"));
        assert!(!is_on_path("no-such-program-anywhere"));
    }
}
