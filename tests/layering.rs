//! Cargo keeps the packages apart. Within a package, a module uses only those that its `lib.rs` lists above it.

use std::path::{Path, PathBuf};

const PACKAGES: [&str; 7] = [".", "core", "arms", "records", "learning", "station", "simulation"];

fn folder(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(package)
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Modules of a package, as its `lib.rs` lists them.
fn modules(package: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder(package).join("lib.rs")).unwrap();
    let declared =
        |line: &str| Some(line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')?.to_owned());
    text.lines().filter_map(declared).collect()
}

/// A module's sources with their text, without tests and comments.
fn sources(package: &str, module: &str) -> Vec<(PathBuf, String)> {
    let (file, folder) = (folder(package).join(format!("{module}.rs")), folder(package).join(module));
    let mut paths = Vec::new();
    if folder.is_dir() {
        files(&folder, &mut paths);
    } else {
        paths.push(file);
    }
    let code = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        (path, code.join("\n"))
    };
    paths.into_iter().map(code).collect()
}

/// Modules named after `crate::` in a text, also within braces: `use crate::{a, b::c}`.
fn used(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let word: String = name.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !word.is_empty() {
                out.push(word);
            }
        }
    }
    out
}

#[test]
fn modules_use_only_what_stands_above_them() {
    let mut uses = 0;
    // MuJoCo's stand-ins are one module.
    for package in PACKAGES.into_iter().filter(|package| *package != "simulation") {
        let modules = modules(package);
        assert!(modules.len() >= 2, "{package}: {modules:?}");
        for (place, module) in modules.iter().enumerate() {
            for (path, text) in sources(package, module) {
                for other in used(&text) {
                    let Some(at) = modules.iter().position(|name| *name == other) else { continue };
                    uses += 1;
                    assert!(at <= place, "{}: `{module}` uses `{other}`, which is listed below it", path.display());
                }
            }
        }
    }
    assert!(uses > 100, "only {uses} uses were found: the search is broken");
}

#[test]
fn the_architecture_page_has_a_row_for_every_module() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for package in PACKAGES {
        for module in if package == "simulation" { vec![package.into()] } else { modules(package) } {
            assert!(page.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}` of `{package}`");
        }
    }
}

#[test]
fn the_search_finds_uses_in_braces() {
    assert_eq!(used("use crate::{time, action::Action};\nlet x = crate::safety::f();"), ["time", "action", "safety"]);
}
