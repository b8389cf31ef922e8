//! What a TorchScript file may call: nothing that touches a file, a process or another machine.
//!
//! The file is a zip of source text, constants and weights. libtorch's own operators compute on tensors, except for a few
//! that read or write files. Operators and classes of other libraries could do anything. The text is read before libtorch
//! loads the file; it names every function that is called.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::network::Refusal;

/// How a module is made.
pub const EXPORT: &str = "write it with torch.jit.trace or torch.jit.script and .save(FILE)";
/// Most text read of a module \[bytes\].
const LARGEST_TEXT: u64 = 64 << 20;
/// Largest size of all entries, per byte of the file: weights are stored uncompressed.
const LARGEST_GROWTH: u64 = 8;
/// libtorch's operators that read or write files.
const FILES: [&str; 5] = ["from_file", "save", "load", "_load_from_file", "_save_parameters"];
/// Namespaces of libtorch's own operators.
const OURS: [&str; 3] = ["prim", "aten", "quantized"];

/// Refuses a file that is not a TorchScript module, and one with forbidden calls.
pub fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let refuse = |what: &str| Err(Refusal { what: what.into(), fix: EXPORT });
    if !bytes.starts_with(b"PK") {
        return refuse("it is not a TorchScript file, which is a zip file");
    }
    let Ok(mut zip) = ZipArchive::new(Cursor::new(bytes)) else {
        return refuse("it is not a whole zip file");
    };
    // libtorch allocates the memory that the entries name: a small file must not fill it.
    let named = (0..zip.len()).filter_map(|index| zip.by_index_raw(index).ok().map(|entry| entry.size()));
    let named = named.fold(0u64, u64::saturating_add);
    if named > (bytes.len() as u64).max(1 << 16).saturating_mul(LARGEST_GROWTH) {
        return refuse("its entries are many times larger than the file");
    }
    let (mut left, mut any) = (LARGEST_TEXT, false);
    for index in 0..zip.len() {
        let Ok(mut entry) = zip.by_index(index) else {
            return refuse("an entry of its zip file cannot be read");
        };
        let name = entry.name().map(|name| name.to_string()).unwrap_or_default();
        if !(name.contains("code/") && name.ends_with(".py")) {
            continue;
        }
        any = true;
        let mut text = Vec::new();
        // One byte more than may be read, so that a longer entry shows.
        if (&mut entry).take(left + 1).read_to_end(&mut text).is_err() {
            return refuse("its code cannot be read");
        }
        let Some(rest) = left.checked_sub(text.len() as u64) else {
            return refuse("its code is longer than 64 MiB");
        };
        left = rest;
        let Ok(text) = std::str::from_utf8(&text) else {
            return refuse("its code is not text");
        };
        if let Some(call) = forbidden(text) {
            let what = format!("it calls {call}, which may touch files, processes or other machines");
            return Err(Refusal {
                what,
                fix: "leave the call out: a policy is given its inputs and returns its actions",
            });
        }
    }
    if any { Ok(()) } else { refuse("it is a zip file without TorchScript code: a checkpoint of weights is no module") }
}

/// The first name in the text that must not be called.
fn forbidden(text: &str) -> Option<String> {
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.split(|c: char| !within(c)).find(|name| is_forbidden(name)).map(visuomotor_core::untrusted::printable_lines)
}

fn is_forbidden(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let last = parts.last().copied().unwrap_or_default();
    match parts.as_slice() {
        // A class of another library.
        [..] if name.contains("torch.classes") => true,
        ["torch", ..] => FILES.contains(&last),
        ["ops", namespace, ..] => !OURS.contains(namespace) || FILES.contains(&last),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_allowed_and_files_are_not() {
        assert_eq!(forbidden("_0 = torch.conv2d(x, w)\n_1 = ops.prim.NumToTensor(2)\n_2 = torch.loadable(x)"), None);
        for (text, call) in [
            ("x = torch.from_file(\"/etc/passwd\", False, 10)", "torch.from_file"),
            ("torch.save(x, \"a.pt\")", "torch.save"),
            ("y = ops.image.read_file(name)", "ops.image.read_file"),
            ("y=ops.aten.from_file(name)", "ops.aten.from_file"),
            ("a : __torch__.torch.classes.dist_rpc.WorkerInfo", "__torch__.torch.classes.dist_rpc.WorkerInfo"),
        ] {
            assert_eq!(forbidden(text).as_deref(), Some(call));
        }
    }

    #[test]
    fn a_small_file_of_large_entries_is_refused() {
        use std::io::Write;
        let mut file = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        file.start_file("policy/data/0", options).unwrap();
        file.write_all(&vec![0; 8 << 20]).unwrap();
        let bytes = file.finish().unwrap().into_inner();
        assert!(bytes.len() < 1 << 16, "{}", bytes.len());
        assert!(check(&bytes).unwrap_err().what.contains("larger than the file"));
    }

    #[test]
    fn files_that_are_not_modules_are_refused_with_the_reason() {
        for (bytes, word) in [(&b"hello"[..], "zip"), (&b"PK\x03\x04broken"[..], "whole zip")] {
            assert!(check(bytes).unwrap_err().what.contains(word));
        }
    }
}
