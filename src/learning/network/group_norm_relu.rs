//! GroupNorm and ReLU in one, where that is faster than libtorch's two: bf16 activations on a CPU, while training.

use std::ffi::{CStr, c_char, c_void};

use tch::{Device, Kind, TchError, Tensor};

unsafe extern "C" {
    /// In `group_norm_relu.cpp`. Takes and returns pointers to `at::Tensor`, which is what tch's pointers are.
    fn visuomotor_group_norm_relu(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        groups: i64,
        epsilon: f64,
        error: *mut c_char,
        room: usize,
    ) -> *mut c_void;
}

/// Does it support activations like these?
pub(super) fn serves(x: &Tensor) -> bool {
    x.kind() == Kind::BFloat16 && x.device() == Device::Cpu
}

/// max(0, GroupNorm(x)): `x` (B, C, H, W) bf16, `weight` and `bias` (C) f32 -> (B, C, H, W) bf16, channels last in memory.
/// Sums are in f32, gradients flow to all three, and NaN stays NaN.
pub(super) fn group_norm_relu(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: i64,
    epsilon: f64,
) -> Result<Tensor, TchError> {
    let mut error = [0 as c_char; 512];
    // SAFETY: the three are live tensors for as long as the call takes, and tch's pointers point to `at::Tensor`. The
    // function checks their shapes and kinds before it touches their numbers, lets no C++ exception out, and writes at
    // most `error.len()` bytes, the last one 0.
    let out = unsafe {
        visuomotor_group_norm_relu(
            x.as_ptr().cast(),
            weight.as_ptr().cast(),
            bias.as_ptr().cast(),
            groups,
            epsilon,
            error.as_mut_ptr(),
            error.len(),
        )
    };
    if out.is_null() {
        // SAFETY: the function left a string that ends in 0 within the array.
        let message = unsafe { CStr::from_ptr(error.as_ptr()) };
        return Err(TchError::Shape(format!("group norm: {}", message.to_string_lossy())));
    }
    // SAFETY: a new `at::Tensor` without another owner.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: i64 = 4;

    /// x (3, 8, 5, 7), weight and bias (8), and what comes back from above.
    fn inputs() -> [Tensor; 4] {
        let numbers = |shape: &[i64], step: f64| {
            let count: i64 = shape.iter().product();
            (Tensor::arange(count, (Kind::Float, Device::Cpu)) * step).sin().reshape(shape)
        };
        let x = (numbers(&[3, 8, 5, 7], 0.37) * 2.0 + 0.5).to_kind(Kind::BFloat16);
        let above = numbers(&[3, 8, 5, 7], 0.91).to_kind(Kind::BFloat16);
        [x, numbers(&[8], 1.7) + 0.2, numbers(&[8], 2.3), above]
    }

    /// Output and the gradients of x, weight and bias.
    fn run(forward: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor, kind: Kind) -> [Tensor; 4] {
        let [x, weight, bias, above] = inputs();
        let leaves = [x.to_kind(kind), weight, bias].map(|t| t.set_requires_grad(true));
        let y = forward(&leaves[0], &leaves[1], &leaves[2]);
        (&y * above.to_kind(kind)).sum(Kind::Float).backward();
        let [x, weight, bias] = leaves.map(|t| t.grad());
        [y.detach(), x, weight, bias].map(|t| t.to_kind(Kind::Double))
    }

    fn ours() -> [Tensor; 4] {
        run(|x, w, b| group_norm_relu(x, w, b, GROUPS, 1e-5).unwrap(), Kind::BFloat16)
    }

    #[test]
    fn it_is_group_norm_and_relu_with_their_gradients() {
        let theirs = run(|x, w, b| x.group_norm(GROUPS, Some(w), Some(b), 1e-5, false).relu(), Kind::Float);
        for (what, (a, b)) in ["y", "dx", "dweight", "dbias"].iter().zip(ours().iter().zip(&theirs)) {
            let off = f64::try_from((a - b).norm() / b.norm()).unwrap();
            // bf16 has 8 bits: rounding alone is 0.2 % of a number.
            assert!(off < 4e-3, "{what}: off by {off}");
        }
    }

    #[test]
    fn the_order_in_memory_and_the_number_of_threads_do_not_matter() {
        let one = ours();
        let pixels = |x: &Tensor| x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let other = run(|x, w, b| group_norm_relu(&pixels(x), w, b, GROUPS, 1e-5).unwrap(), Kind::BFloat16);
        for (a, b) in one.iter().zip(&other) {
            assert!(a.equal(b));
        }
        let threads = tch::get_num_threads();
        for count in [1, 2, 5] {
            tch::set_num_threads(count);
            let other = ours();
            assert!(one.iter().zip(&other).all(|(a, b)| a.equal(b)), "{count} threads");
        }
        tch::set_num_threads(threads);
    }

    #[test]
    fn nan_stays_nan() {
        let [x, weight, bias, _] = inputs();
        let _ = x.get(1).fill_(f64::NAN);
        let y = group_norm_relu(&x, &weight, &bias, GROUPS, 1e-5).unwrap();
        let nan = |i: i64| i64::try_from(y.get(i).isnan().sum(Kind::Int64)).unwrap();
        assert_eq!((nan(0), nan(1), nan(2)), (0, 8 * 35, 0));
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused_with_the_reason() {
        let [x, weight, bias, _] = inputs();
        let refusal =
            |x: &Tensor, w: &Tensor, groups| group_norm_relu(x, w, &bias, groups, 1e-5).unwrap_err().to_string();
        assert!(refusal(&x.to_kind(Kind::Float), &weight, GROUPS).contains("bf16"));
        assert!(refusal(&x.get(0), &weight, GROUPS).contains("(B, C, H, W)"));
        assert!(refusal(&x, &weight.to_kind(Kind::BFloat16), GROUPS).contains("(8) in f32"));
        assert!(refusal(&x, &weight.narrow(0, 0, 4), GROUPS).contains("(8) in f32"));
        assert!(refusal(&x, &weight, 3).contains("8 channels do not fall into 3 groups"));
        assert!(!serves(&x.to_kind(Kind::Float)) && serves(&x));
    }
}
