//! Natural order of names: `clip9` before `clip10`.

/// A sort key: the name split into texts, and numbers compared by value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Natural {
    /// Text, then number as (length without leading zeros, digits).
    parts: Vec<(String, usize, String)>,
    whole: String,
}

/// `name` for sorting.
pub(super) fn natural(name: &str) -> Natural {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, after) = rest.split_at(text);
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (digits, after) = after.split_at(digits);
        let digits = digits.trim_start_matches('0');
        parts.push((text.to_string(), digits.len(), digits.to_string()));
        rest = after;
    }
    Natural { parts, whole: name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_are_ordered_by_value_whatever_their_length() {
        let mut names = ["b", "clip10", "clip9", "a2/3", "a10/1", "clip009b", "clip18446744073709551616"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a2/3", "a10/1", "b", "clip9", "clip009b", "clip10", "clip18446744073709551616"]);
    }
}
