//! A module uses only lower ranks, or rows before it in its own rank (ARCHITECTURE.md has the same table).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rank and name, in order.
const ROWS: [(u32, &str); 33] = [
    (0, "failure"),
    (0, "time"),
    (0, "protection"),
    (0, "untrusted"),
    (0, "geometry"),
    (0, "embedding"),
    (0, "observation"),
    (0, "action"),
    (0, "episode"),
    (0, "operator"),
    (0, "pickle"),
    (0, "onnx"),
    (1, "config"),
    (1, "kinematics"),
    (2, "transport"),
    (2, "camera"),
    (2, "driver"),
    (3, "network"),
    (3, "encoder"),
    (3, "policy"),
    (3, "teleop"),
    (3, "control"),
    (3, "safety"),
    (3, "scripted"),
    (4, "simulation"),
    (4, "recording"),
    (5, "exchange"),
    (5, "runtime"),
    (6, "evaluation"),
    (6, "training"),
    (6, "page"),
    (7, "cli"),
    (8, "main"),
];

/// Modules that may name libtorch.
const TORCH: [&str; 5] = ["network", "encoder", "policy", "training", "cli"];

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

/// Every source file with the module it belongs to and its text without tests and comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    files(&source, &mut paths);
    paths
        .into_iter()
        .filter(|path| !path.ends_with("lib.rs"))
        .map(|path| {
            let relative = path.strip_prefix(&source).unwrap();
            let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_string();
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (module, path, code.join("\n"))
        })
        .collect()
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
    let place: BTreeMap<&str, usize> = ROWS.iter().enumerate().map(|(i, (_, name))| (*name, i)).collect();
    let mut edges = 0;
    for (module, path, text) in sources() {
        let own =
            *place.get(module.as_str()).unwrap_or_else(|| panic!("{}: module is not in the table", path.display()));
        for name in used(&text) {
            let Some(other) = place.get(name.as_str()) else { continue };
            edges += 1;
            assert!(
                *other <= own,
                "{}: `{module}` (rank {}) uses `{name}` (rank {}), which stands below it",
                path.display(),
                ROWS[own].0,
                ROWS[*other].0
            );
        }
    }
    assert!(edges > 100, "only {edges} uses were found: the search is broken");
}

#[test]
fn libtorch_lives_in_few_modules() {
    for (module, path, text) in sources() {
        let whole_word = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let names_torch = text.match_indices("tch::").any(|(at, _)| whole_word(at));
        assert!(!names_torch || TORCH.contains(&module.as_str()), "{}: `{module}` names libtorch", path.display());
    }
}

#[test]
fn the_architecture_page_has_a_row_for_every_module() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for (module, path, _) in sources() {
        assert!(page.contains(&format!("`{module}`")), "{}: ARCHITECTURE.md does not name `{module}`", path.display());
    }
}

#[test]
fn the_search_finds_uses_in_braces() {
    assert_eq!(used("use crate::{time, action::Action};\nlet x = crate::safety::f();"), ["time", "action", "safety"]);
}
