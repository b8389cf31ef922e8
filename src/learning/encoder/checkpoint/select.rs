//! Finds the dict that holds the weights: by its name, or because it is the only one.

use std::collections::{BTreeMap, HashSet};

use visuomotor_core::pickle::{Id, Value, Values};

use super::{BY_NUMBER, CHOOSE, LISTED, RESAVE};

/// Names listed in a message.
const LISTED_NAMES: usize = 20;

/// The dict of tensors; the error lists what there is and says what to do.
pub(super) fn select(values: &Values, key: Option<&str>) -> Result<Id, (String, &'static str)> {
    let root = values.root();
    if values.entries(root).is_none() {
        return Err(match tensors_in_list(values, root) {
            0 => ("it holds no dict".into(), RESAVE),
            count => (format!("it is a list of {count} tensors without names"), LISTED),
        });
    }
    let from = match key.map(|key| (key, path(values, root, key))) {
        None => root,
        Some((_, Some(id))) => id,
        Some((key, None)) => {
            let dicts = dicts(values, root, "");
            let key = key.escape_debug();
            return Err(match dicts.is_empty() {
                true => (format!("it has no dict of tensors called `{key}`, nor any other"), CHOOSE),
                false => (format!("it has no dict of tensors called `{key}`; it has {}", names(&dicts)), CHOOSE),
            });
        }
    };
    // PyTorch Lightning keeps averages and metrics of callbacks beside the weights.
    if key.is_none()
        && values.entry(root, "pytorch-lightning_version").is_some()
        && let Some(id) = values.entry(root, "state_dict").filter(|id| tensors(values, *id) > 0)
    {
        return Ok(id);
    }
    let dicts = dicts(values, from, key.unwrap_or_default());
    let own = tensors(values, from);
    match dicts.iter().map(|(name, id)| (name, *id)).collect::<Vec<_>>()[..] {
        // Beside a step counter or a scale, a dict with more tensors is the weights.
        [] if own > 0 => Ok(from),
        [(_, only)] if tensors(values, only) > own => Ok(only),
        _ if own > 0 && dicts.values().all(|id| tensors(values, *id) <= own) => Ok(from),
        [] => Err(without_names(values, from)),
        _ => Err((format!("it has several dicts of tensors: {}", names(&dicts)), CHOOSE)),
    }
}

/// No dict has tensors under names: where they are instead.
fn without_names(values: &Values, from: Id) -> (String, &'static str) {
    if let Value::Dict(pairs) = values.get(from)
        && pairs.iter().any(|(_, value)| matches!(values.get(*value), Value::Tensor(_)))
    {
        return ("it holds tensors under numbers, not under names".into(), BY_NUMBER);
    }
    let lists = values.entries(from).into_iter().flatten();
    match lists.map(|(name, _, id)| (name, tensors_in_list(values, id))).find(|(_, count)| *count > 0) {
        Some((name, count)) => {
            (format!("it holds no tensors under names; `{}` is a list of {count}", name.escape_debug()), LISTED)
        }
        None => ("it holds no tensors under names".into(), RESAVE),
    }
}

/// The value under a dotted name; names may contain dots themselves.
fn path(values: &Values, dict: Id, key: &str) -> Option<Id> {
    if let Some(id) = values.entry(dict, key).filter(|id| values.entries(*id).is_some()) {
        return Some(id);
    }
    key.match_indices('.').find_map(|(at, _)| path(values, values.entry(dict, &key[..at])?, &key[at + 1..]))
}

/// How many tensors a dict has under names.
fn tensors(values: &Values, id: Id) -> usize {
    values.entries(id).into_iter().flatten().filter(|(_, value, _)| matches!(value, Value::Tensor(_))).count()
}

fn tensors_in_list(values: &Values, id: Id) -> usize {
    let items = values.items(id).unwrap_or_default();
    items.iter().filter(|id| matches!(values.get(**id), Value::Tensor(_))).count()
}

/// Dicts of tensors inside `from`, whose own dotted name is `above`, by their dotted names; each once, by its shortest name.
fn dicts(values: &Values, from: Id, above: &str) -> BTreeMap<String, Id> {
    let (mut found, mut seen) = (BTreeMap::new(), HashSet::from([from]));
    let mut level = vec![(above.to_string(), from)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (above, dict) in level {
            for (name, _, id) in values.entries(dict).into_iter().flatten() {
                if values.entries(id).is_none() || !seen.insert(id) {
                    continue;
                }
                // A name may be as long as the file; cut short it is for a message only.
                let name: String = name.chars().take(80).collect();
                let name = if above.is_empty() { name } else { format!("{above}.{name}") };
                // Deeper than any published file; nested names would grow with each level.
                if name.len() > 400 {
                    continue;
                }
                if tensors(values, id) > 0 {
                    found.insert(name.clone(), id);
                }
                next.push((name, id));
            }
        }
        level = next;
    }
    found
}

fn names(dicts: &BTreeMap<String, Id>) -> String {
    let mut names: Vec<String> =
        dicts.keys().take(LISTED_NAMES).map(|name| format!("`{}`", name.escape_debug())).collect();
    if dicts.len() > LISTED_NAMES {
        names.push(format!("{} more", dicts.len() - LISTED_NAMES));
    }
    names.join(", ")
}
