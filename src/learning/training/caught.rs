//! The one place where a panic of tch's operators, in which training's equations are written, becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use anyhow::bail;

/// What tch's methods without `f_` panic with: their `unwrap` of a `TchError`.
const OF_TCH: &str = "called `Result::unwrap()` on an `Err` value: ";

/// Runs a part of an algorithm, whose equations are written with tch's operators: a panic of theirs becomes an error,
/// and gradients are computed again afterwards. Other panics go on.
pub(super) fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let result = {
        // A panic within `tch::no_grad` leaves gradients off on this thread; the guard sets them as they are now.
        let _gradients = tch::no_grad_guard();
        // What a panic leaves half done is only dropped: the training ends, and the last checkpoint stays.
        catch_unwind(AssertUnwindSafe(|| tch::with_grad(work)))
    };
    let panic = match result {
        Ok(result) => return result,
        Err(panic) => panic,
    };
    match panic.downcast_ref::<String>().and_then(|text| text.strip_prefix(OF_TCH)) {
        // libtorch appends a C++ backtrace, whose lines this form of the text escapes.
        Some(error) => bail!("libtorch: {}", error.split("\\n").next().unwrap_or_default()),
        None => resume_unwind(panic),
    }
}
