//! What a file is that is no checkpoint, by its first bytes or its entries, and what to do with it.

/// Needs the class no more.
pub(super) const SCRIPTED: &str = "write its weights alone, in Python: import torch; \
     torch.save(torch.jit.load(\"FILE\", map_location=\"cpu\").state_dict(), \"weights.pt\"); then convert weights.pt (a policy \
     in TorchScript is used as it is: `visuomotor policy new`)";

/// The class must be importable.
pub(super) const WHOLE: &str = "write its weights alone, in a Python that can import its class, and only if you trust the file \
     (torch.load then executes it): import torch; \
     model = torch.load(\"FILE\", map_location=\"cpu\", weights_only=False); \
     torch.save(model.state_dict(), \"weights.pt\"); then convert weights.pt";

const DOWNLOAD: &str = "download the file itself, by its raw link (on GitHub `raw` and on Hugging Face `resolve` in place of \
     `blob`; from Google Drive with `gdown ID`), then convert that";
const PULL: &str = "fetch the file that it stands for: `git lfs install && git lfs pull` in its clone, or download it by its raw \
     link, then convert that";
const FROM_NUMPY: &str = "write its arrays with PyTorch, in Python: import numpy, torch; a = numpy.load(\"FILE\"); \
     torch.save({k: torch.from_numpy(a[k]) for k in a.files}, \"weights.pt\"); then convert weights.pt. Of Flax or JAX: names and \
     layouts (convolutions are stored height first) must be made those of PyTorch there too";
const ALREADY: &str = "nothing is to be converted: give it to --weights as it is";
const UNPACK: &str = "unpack it, then convert the checkpoint in it";
const EMPTY: &str = "download it again";

/// A file that is not one of torch.save: what it is, and what to do.
pub(super) fn other(bytes: &[u8]) -> Option<(String, &'static str)> {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let head = start[..start.len().min(1024)].to_ascii_lowercase();
    let has = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
    if bytes.is_empty() {
        return Some(("it is empty".into(), EMPTY));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        let size =
            String::from_utf8_lossy(&head).lines().find_map(|line| line.strip_prefix("size ")?.parse::<u64>().ok());
        let size = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
        return Some((format!("it is a Git LFS pointer, a text that stands for a file{size}"), PULL));
    }
    if head.starts_with(b"<") && (has(b"<html") || has(b"<!doctype html")) {
        let title =
            text_between(start, b"<title>", b"</title>").map(|title| format!(" (`{title}`)")).unwrap_or_default();
        return Some((format!("it is an HTML page{title}, not the file behind it"), DOWNLOAD));
    }
    if bytes.starts_with(b"\x89HDF\r\n") {
        return Some(("it is an HDF5 file, of Keras or h5py".into(), "take the authors' PyTorch weights"));
    }
    if bytes.starts_with(b"\x1f\x8b") || bytes.get(257..262) == Some(b"ustar") {
        return Some(("it is a compressed or tar archive".into(), UNPACK));
    }
    if bytes.starts_with(b"\x93NUMPY") {
        return Some(("it is one array of numpy (*.npy), without names".into(), "take the file with all weights"));
    }
    let header = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    if header.is_some_and(|length| length < bytes.len() as u64) && bytes.get(8) == Some(&b'{') {
        return Some(("it is a safetensors file already".into(), ALREADY));
    }
    None
}

/// At most 80 characters of the text between two marks.
fn text_between(bytes: &[u8], open: &[u8], close: &[u8]) -> Option<String> {
    let find =
        |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|window| window.eq_ignore_ascii_case(word));
    let rest = &bytes[find(bytes, open)? + open.len()..];
    let text = String::from_utf8_lossy(&rest[..find(rest, close)?]).into_owned();
    Some(text.chars().take(80).flat_map(char::escape_debug).collect())
}

/// A zip file without data.pkl, by the names of its entries.
pub(super) fn other_zip(names: &[&str]) -> Option<(String, &'static str)> {
    let ends = |endings: &[&str]| names.iter().find(|name| endings.iter().any(|ending| name.ends_with(ending)));
    if !names.is_empty() && names.iter().all(|name| name.ends_with(".npy")) {
        return Some(("it is an archive of numpy arrays (*.npz), of numpy, Flax or JAX".into(), FROM_NUMPY));
    }
    if ends(&["model.json", "saved_model.pb", ".weights.h5", "config.json"]).is_some() {
        return Some((
            "it is a zip file of another program (Keras, TensorFlow)".into(),
            "take the authors' PyTorch weights",
        ));
    }
    let inner = ends(&[".pt", ".pth", ".ckpt", ".safetensors", ".bin"])?;
    let inner: String = inner.chars().take(80).flat_map(char::escape_debug).collect();
    Some((format!("it is a zip file with `{inner}` in it"), UNPACK))
}

/// A pickle whose names are not all known: a whole module, which keeps its parts under these names?
pub(super) fn is_whole_module(pickle: &[u8]) -> bool {
    let has = |word: &[u8]| pickle.windows(word.len()).any(|window| window == word);
    has(b"_parameters") && has(b"_buffers") && has(b"_modules")
}
