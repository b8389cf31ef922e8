//! Files of torch.save before PyTorch 1.6: five pickles (a magic number, a version, sizes of C's types, the object, the keys of
//! its storages), then each storage as its number of values (8 bytes) and its bytes.

use std::collections::HashMap;
use std::ops::Range;

use visuomotor_core::pickle::{PickleError, Value, Values, Vocabulary, run_first};

/// The magic number as its pickle has it, and how far from the start it may be.
const MAGIC: (&[u8], usize) = (b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 32);

/// Is it such a file?
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x80") && bytes[..bytes.len().min(MAGIC.1)].windows(MAGIC.0.len()).any(|part| part == MAGIC.0)
}

/// What the pickle makes, and where each storage's bytes are.
pub(super) fn read(bytes: &[u8]) -> Result<(Values, HashMap<String, Range<usize>>), PickleError> {
    let mut at = 0;
    let mut next = || {
        let (values, length) = run_first(&bytes[at..], Vocabulary::Torch)?;
        at += length;
        Ok::<_, PickleError>(values)
    };
    let (_magic, _version, system) = (next()?, next()?, next()?);
    let (object, keys) = (next()?, next()?);
    let little = system.entry(system.root(), "little_endian").map(|id| system.get(id).clone());
    if matches!(little, Some(Value::Bool(false))) {
        return Err(PickleError::Unsupported("its bytes are not little-endian".into()));
    }
    let sizes: HashMap<&str, usize> =
        object.storages().map(|storage| (storage.key.as_str(), storage.element.size())).collect();
    let mut places = HashMap::new();
    let broken = |what: &str| PickleError::Malformed(format!("its list of storages {what}"));
    for id in keys.items(keys.root()).ok_or_else(|| broken("is not a list"))? {
        let Value::Text(key) = keys.get(*id) else { return Err(broken("has a key that is not text")) };
        let size = sizes.get(key.as_str()).ok_or_else(|| broken("names one that nothing uses"))?;
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(|| broken("is cut off"))?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(*size));
        let end = count.and_then(|length| (at + 8).checked_add(length)).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| broken("is cut off"))?;
        places.insert(key.clone(), at + 8..end);
        at = end;
    }
    Ok((object, places))
}
