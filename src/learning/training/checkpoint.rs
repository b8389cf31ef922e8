//! The resumable state of a training run: named tensors in a safetensors file, written atomically.
//!
//! The file's header contains the layout's version and the algorithm. The file is written beside its final name, synced to
//! the disk, then renamed, so the last good file survives any failure. What is refused, with the file, the key, what was
//! found, what was expected and what to do: a file that was cut off, another version, another algorithm, another network
//! (keys or shapes), values that are not finite (read or to be written).

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor, nn};

use crate::encoder::weights::check_description;
use visuomotor_core::untrusted;

/// Layout of the state's file.
const VERSION: &str = "1";
/// The header's only entry (several would be ordered by a hash map, and equal states must give equal files): version and
/// algorithm.
const HEADER: &str = "visuomotor_training_state";

const OTHER_RUN: &str = "the checkpoint is of another network: go on with the settings it was trained with (record.json \
                         beside it), or train into another --out";

/// Largest state read \[bytes\]: weights, and two more numbers for each.
const LARGEST: u64 = 4 * untrusted::LARGEST_WEIGHTS;

/// Kinds a state may hold, with their names in the file.
const KINDS: [(Kind, Dtype); 6] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

fn unfit(file: &Path, key: &str, found: impl Into<String>, expected: impl Into<String>, fix: &str) -> anyhow::Error {
    let (found, expected) = (found.into(), expected.into());
    anyhow!("{}: key `{key}`: found {found}, expected {expected}; {fix}", file.display())
}

/// Writes a state (`file` is replaced atomically); see [`encode`] and [`write_files`] for what is refused.
pub fn write_state(file: &Path, algorithm: &str, state: &[(String, Tensor)]) -> anyhow::Result<()> {
    write_files(&[(file.to_path_buf(), encode(file, algorithm, state)?)])
}

/// The bytes of a state's file; `file` is for messages only. Refuses values that are not finite.
pub fn encode(file: &Path, algorithm: &str, state: &[(String, Tensor)]) -> anyhow::Result<Vec<u8>> {
    let mut arrays = Vec::with_capacity(state.len());
    for (name, tensor) in state {
        if let Some(found) = not_finite(tensor)? {
            let fix = "the training diverged: lower the learning rate; what was saved before is kept";
            return Err(unfit(file, name, found, "finite numbers", fix));
        }
        let (_, dtype) = KINDS
            .iter()
            .find(|(kind, _)| *kind == tensor.kind())
            .with_context(|| format!("{}: key `{name}`: cannot hold {:?}", file.display(), tensor.kind()))?;
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape: Vec<usize> = tensor.size().iter().map(|size| size.unsigned_abs() as usize).collect();
        arrays.push((name.as_str(), *dtype, shape, bytes));
    }
    let mut views = BTreeMap::new();
    for (name, dtype, shape, bytes) in &arrays {
        let view = TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|error| anyhow!("{}: key `{name}`: {error}", file.display()))?;
        ensure!(views.insert(*name, view).is_none(), "{}: key `{name}`: named twice", file.display());
    }
    let header = HashMap::from([(HEADER.to_string(), format!("{VERSION} {algorithm}"))]);
    safetensors::serialize(views, Some(header)).map_err(|error| anyhow!("{}: {error}", file.display()))
}

/// Reads the state that [`write_state`] wrote for the same algorithm.
pub fn read_state(file: &Path, algorithm: &str) -> anyhow::Result<Vec<(String, Tensor)>> {
    let shown = file.display();
    let bytes = untrusted::read(file, LARGEST)
        .map_err(|error| anyhow!("{shown}: no checkpoint to resume from ({error}); start without --resume"))?;
    let broken = |error| {
        anyhow!(
            "{shown}: not a whole checkpoint ({error}); it was cut off or is another file: restore a copy of it, or \
             train into another --out"
        )
    };
    check_description(file, &bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let header = metadata.metadata().as_ref().and_then(|entries| entries.get(HEADER)).map_or("", String::as_str);
    let (version, made_by) = header.split_once(' ').unwrap_or((header, ""));
    if version != VERSION {
        let found = if version.is_empty() { "nothing".to_string() } else { format!("version {version}") };
        let fix = "the checkpoint is of another version of this program: train into another --out";
        return Err(unfit(file, HEADER, found, format!("version {VERSION}"), fix));
    }
    if made_by != algorithm {
        let fix = format!("go on with `visuomotor train {made_by}`, or train into another --out");
        return Err(unfit(file, HEADER, format!("`{made_by}`"), format!("`{algorithm}`"), &fix));
    }
    let mut state = Vec::new();
    for (name, view) in tensors.iter() {
        let Some((kind, _)) = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype()) else {
            return Err(unfit(file, name, format!("{:?}", view.dtype()), "f32, f64, bf16, i64, u8 or bool", OTHER_RUN));
        };
        // A dimension beyond i64 fits no variable.
        let shape: Vec<i64> = view.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
        let tensor =
            Tensor::f_from_data_size(view.data(), &shape, *kind).with_context(|| format!("{shown}: {name}"))?;
        if let Some(found) = not_finite(&tensor)? {
            let fix = "the file is damaged: restore a copy of it, or train into another --out";
            return Err(unfit(file, name, found, "finite numbers", fix));
        }
        state.push((name.to_string(), tensor));
    }
    state.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(state)
}

/// Refuses a state whose keys, shapes or kinds differ from `own`, the state that it is to replace. Keys that begin with
/// `apart` are skipped.
pub fn check_fit(file: &Path, found: &[(String, Tensor)], own: &[(String, Tensor)], apart: &str) -> anyhow::Result<()> {
    let found: BTreeMap<&str, &Tensor> = found.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let own: BTreeMap<&str, &Tensor> = own.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let described = |tensor: &Tensor| format!("{:?} of shape {:?}", tensor.kind(), tensor.size());
    for (name, expected) in &own {
        let Some(tensor) = found.get(name) else {
            return Err(unfit(file, name, "nothing", described(expected), OTHER_RUN));
        };
        if (tensor.kind(), tensor.size()) != (expected.kind(), expected.size()) {
            return Err(unfit(file, name, described(tensor), described(expected), OTHER_RUN));
        }
    }
    match found.iter().find(|(name, _)| !name.starts_with(apart) && !own.contains_key(*name)) {
        Some((name, tensor)) => Err(unfit(file, name, described(tensor), "no tensor of this name", OTHER_RUN)),
        None => Ok(()),
    }
}

/// The tensor called `key`; its absence is an error.
pub fn find<'a>(state: &'a [(String, Tensor)], key: &str) -> anyhow::Result<&'a Tensor> {
    let found = state.iter().find(|(name, _)| name == key).map(|(_, tensor)| tensor);
    found.with_context(|| format!("the checkpoint lacks `{key}`; {OTHER_RUN}"))
}

/// All variables of a store as `prefix.name`, sorted by name, sharing the variables' memory.
pub fn named(prefix: &str, store: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut variables: Vec<(String, Tensor)> =
        store.variables().into_iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)).collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    variables
}

/// Copies `prefix.name` of a state into every variable of a store.
pub fn restore_named(prefix: &str, store: &nn::VarStore, state: &[(String, Tensor)]) -> anyhow::Result<()> {
    for (key, mut variable) in named(prefix, store) {
        let value = find(state, &key)?;
        ensure!(
            value.size() == variable.size(),
            "key `{key}`: found shape {:?}, expected {:?}; {OTHER_RUN}",
            value.size(),
            variable.size()
        );
        tch::no_grad(|| variable.f_copy_(value))?;
    }
    Ok(())
}

/// Returns what is not finite in a tensor, if anything.
fn not_finite(values: &Tensor) -> anyhow::Result<Option<String>> {
    let count = i64::try_from(values.f_detach()?.f_isfinite()?.f_logical_not()?.f_sum(Kind::Int64)?)?;
    Ok((count > 0).then(|| format!("{count} values that are NaN or infinite")))
}

/// Writes files that belong together: first all to temporary files synced to the disk, then renames them. If one cannot be
/// written, e.g. on a full disk, none is renamed and the temporary files are removed.
pub fn write_files(files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<()> {
    let partials: Vec<PathBuf> = files.iter().map(|(file, _)| partial(file)).collect();
    let written = write_then_rename(files, &partials);
    if written.is_err() {
        for partial in &partials {
            // It may be renamed already or never have been written; the returned error has the reason.
            let _ = std::fs::remove_file(partial);
        }
    }
    written
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn write_then_rename(files: &[(PathBuf, Vec<u8>)], partials: &[PathBuf]) -> anyhow::Result<()> {
    let refused = |file: &Path, error: std::io::Error| {
        anyhow!(
            "{}: cannot be written ({error}); what was saved before is kept: make room or choose another --out",
            file.display()
        )
    };
    for ((file, bytes), partial) in files.iter().zip(partials) {
        let write = || {
            let mut open = File::create(partial)?;
            open.write_all(bytes)?;
            open.sync_all()
        };
        write().map_err(|error| refused(file, error))?;
    }
    for ((file, _), partial) in files.iter().zip(partials) {
        std::fs::rename(partial, file).map_err(|error| refused(file, error))?;
    }
    // The names, too, must survive a power cut; some file systems cannot sync a folder.
    for folder in files.iter().filter_map(|(file, _)| file.parent()) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(values: &[f32]) -> Vec<(String, Tensor)> {
        vec![
            ("adam.step".into(), Tensor::from_slice(&[7i64])),
            ("net.x".into(), Tensor::from_slice(values).reshape([-1, 2])),
        ]
    }

    fn refusal<T>(result: anyhow::Result<T>) -> String {
        format!("{:#}", result.err().unwrap())
    }

    #[test]
    fn a_state_comes_back_as_it_was_and_equal_states_give_equal_files() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        write_state(&a, "vip", &state(&[1.0, -0.1, 3e-39, 4.0])).unwrap();
        write_state(&b, "vip", &state(&[1.0, -0.1, 3e-39, 4.0])).unwrap();
        assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
        let back = read_state(&a, "vip").unwrap();
        check_fit(&a, &back, &state(&[0.0; 4]), "session.").unwrap();
        assert_eq!(Vec::<i64>::try_from(&back[0].1).unwrap(), [7]);
        assert_eq!(Vec::<f32>::try_from(back[1].1.reshape([-1])).unwrap(), [1.0, -0.1, 3e-39, 4.0]);
    }

    #[test]
    fn a_full_disk_leaves_the_last_good_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint.safetensors");
        write_state(&file, "vip", &state(&[1.0, 2.0])).unwrap();
        let before = std::fs::read(&file).unwrap();
        // The temporary file is written to a device that is always full.
        std::os::unix::fs::symlink("/dev/full", partial(&file)).unwrap();
        let message = refusal(write_state(&file, "vip", &state(&[3.0, 4.0])));
        assert!(
            message.contains("checkpoint.safetensors: cannot be written") && message.contains("os error 28"),
            "{message}"
        );
        assert!(message.contains("make room"), "{message}");
        assert!(std::fs::read(&file).unwrap() == before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write_state(&file, "vip", &state(&[3.0, 4.0])).unwrap();
        assert!(std::fs::read(&file).unwrap() != before);
    }

    #[test]
    fn files_that_belong_together_are_replaced_together() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let files = |text: &str| [(a.clone(), text.as_bytes().to_vec()), (b.clone(), text.as_bytes().to_vec())];
        write_files(&files("old")).unwrap();
        std::os::unix::fs::symlink("/dev/full", partial(&b)).unwrap();
        assert!(write_files(&files("new")).is_err());
        assert_eq!((std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap()), (b"old".to_vec(), b"old".to_vec()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_cut_off_file_is_refused_at_every_length() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint.safetensors");
        write_state(&file, "vip", &state(&[1.0, 2.0])).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&file, &bytes[..length]).unwrap();
            let message = refusal(read_state(&file, "vip"));
            assert!(message.contains("not a whole checkpoint"), "{length}: {message}");
        }
        let message = refusal(read_state(&folder.path().join("none"), "vip"));
        assert!(
            message.contains("none: no checkpoint to resume from") && message.contains("without --resume"),
            "{message}"
        );
    }

    #[test]
    fn another_algorithm_version_shape_key_or_kind_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint.safetensors");
        write_state(&file, "vip", &state(&[1.0, 2.0])).unwrap();
        let message = refusal(read_state(&file, "icvf"));
        assert!(
            message.contains("found `vip`, expected `icvf`") && message.contains("visuomotor train vip"),
            "{message}"
        );

        let found = read_state(&file, "vip").unwrap();
        let message = refusal(check_fit(&file, &found, &state(&[1.0; 4]), "session."));
        assert!(
            message.contains("key `net.x`: found Float of shape [1, 2], expected Float of shape [2, 2]"),
            "{message}"
        );
        let mut more = state(&[1.0, 2.0]);
        more.push(("net.y".into(), Tensor::from_slice(&[1.0f32])));
        let message = refusal(check_fit(&file, &found, &more, "session."));
        assert!(message.contains("key `net.y`: found nothing"), "{message}");
        let message = refusal(check_fit(&file, &more, &found, "session."));
        assert!(message.contains("key `net.y`") && message.contains("expected no tensor"), "{message}");
        check_fit(&file, &more, &found, "net.y").unwrap();
        let wide = vec![("adam.step".to_string(), Tensor::from_slice(&[7.0f32]))];
        let message = refusal(check_fit(&file, &found, &wide, "net."));
        assert!(message.contains("key `adam.step`: found Int64") && message.contains("expected Float"), "{message}");

        let text = |version: &str| format!("{{\"__metadata__\":{{\"{HEADER}\":\"{version}\"}}}}");
        for (header, words) in [("{}".to_string(), "found nothing"), (text("2 vip"), "found version 2")] {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            std::fs::write(&file, bytes).unwrap();
            let message = refusal(read_state(&file, "vip"));
            assert!(message.contains(words) && message.contains("expected version 1"), "{message}");
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_neither_written_nor_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoint.safetensors");
        write_state(&file, "vip", &state(&[1.0, 2.0])).unwrap();
        let before = std::fs::read(&file).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let message = refusal(write_state(&file, "vip", &state(&[1.0, bad])));
            assert!(message.contains("key `net.x`: found 1 values that are NaN or infinite"), "{message}");
        }
        assert!(std::fs::read(&file).unwrap() == before);
        let end = before.len() - 4;
        let mut bytes = before[..end].to_vec();
        bytes.extend(f32::NAN.to_le_bytes());
        std::fs::write(&file, bytes).unwrap();
        let message = refusal(read_state(&file, "vip"));
        assert!(message.contains("key `net.x`") && message.contains("damaged"), "{message}");
    }

    #[test]
    fn variables_come_back_under_their_prefix() {
        let store = |value: f64| {
            let store = nn::VarStore::new(Device::Cpu);
            let _ = store.root().var("x", &[2], nn::Init::Const(value));
            store
        };
        let (a, b) = (store(1.0), store(2.0));
        restore_named("left", &b, &named("left", &a)).unwrap();
        assert_eq!(Vec::<f32>::try_from(&b.variables()["x"]).unwrap(), [1.0, 1.0]);
        let message = refusal(restore_named("right", &b, &named("left", &a)));
        assert!(message.contains("lacks `right.x`"), "{message}");
    }
}
