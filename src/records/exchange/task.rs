//! Names of tasks.

use sha2::{Digest, Sha256};

/// Longest readable part of a name \[letters\], and \[bytes\]: it may become a file's name.
const LONGEST: usize = 80;
const MOST_BYTES: usize = 200;
/// Hexadecimal digits that tell instructions apart whose readable parts are equal.
const DIGITS: usize = 10;

/// A task's name from its instruction: `take the knife out` becomes `take_the_knife_out`.
///
/// Different instructions have different names: letters of any script stay, and where the name alone does not tell the
/// instruction (capital letters, punctuation, more than 80 letters) it ends in ten digits of the instruction's SHA-256.
pub(super) fn task_name(instruction: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '_' };
    let lower = instruction.to_lowercase();
    let mut bytes = 0;
    let fits = |letter: &char| {
        bytes += letter.len_utf8();
        bytes <= MOST_BYTES
    };
    let words: String = lower.chars().take(LONGEST).take_while(fits).map(plain).collect();
    let name = words.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    let tells = name.replace('_', " ") == instruction;
    match (name.is_empty(), tells) {
        (true, _) if instruction.is_empty() => "task".into(),
        // The one instruction that would be named like none.
        (false, true) if name != "task" => name,
        (is_empty, _) => {
            let digest = Sha256::digest(instruction.as_bytes());
            let digits: String = digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
            if is_empty { format!("task-{digits}") } else { format!("{name}-{digits}") }
        }
    }
}

/// A name as it is, if it can name a file or a topic, else [`task_name`]'s.
pub(super) fn plain_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let is_plain = !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && name.chars().all(plain);
    if is_plain { name.into() } else { task_name(name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_instructions_are_read_in_their_names() {
        assert_eq!(task_name("take the knife out"), "take_the_knife_out");
        assert_eq!(task_name("закрой ящик"), "закрой_ящик");
        assert_eq!(task_name("关上抽屉"), "关上抽屉");
        assert_eq!(task_name(""), "task");
        let capital = task_name("Take the knife out.");
        assert!(capital.starts_with("take_the_knife_out-") && capital.len() == 29, "{capital}");
        assert_ne!(task_name("task"), "task");
        assert_ne!(task_name("!"), task_name("?"));
    }

    proptest! {
        #[test]
        fn different_instructions_have_different_names(a in "\\PC{0,100}", b in "\\PC{0,100}", cut in 0usize..100) {
            let variants = [a.clone(), b, a.to_uppercase(), format!("{a} "), a.replace(' ', "_"), a.chars().take(cut).collect()];
            for one in &variants {
                for other in &variants {
                    prop_assert_eq!(task_name(one) == task_name(other), one == other, "{:?} {:?}", one, other);
                }
            }
        }

        #[test]
        fn names_are_usable(instruction in "\\PC{0,200}") {
            let name = task_name(&instruction);
            prop_assert!(!name.is_empty() && !name.contains(['/', '\0', ' ', '\n']) && name.chars().count() <= 91);
        }
    }
}
