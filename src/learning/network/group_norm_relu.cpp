// GroupNorm and ReLU in one, of bf16 activations whose channels lie together, on a CPU, with its gradient.
//
// libtorch's gradient of a GroupNorm in that layout takes about four times as long as that of the convolution before
// it, and in the other layout the convolutions take twice as long. Here every number is read twice, a sample at a time,
// so that it is still in the cache the second time.

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The loader picks the widest version that the processor has.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

inline float wide(uint16_t v) {
  uint32_t bits = static_cast<uint32_t>(v) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

// Round to nearest even; a NaN stays one, because its upper half does where it is quiet.
inline uint16_t narrow(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Sums over the pixels of a sample, for each channel: of x and of x^2.
CLONES void sums(const uint16_t* __restrict x, int64_t pixels, int64_t channels, float* __restrict sum,
                 float* __restrict squares) {
  for (int64_t p = 0; p < pixels; ++p, x += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]);
      sum[c] += v;
      squares[c] += v * v;
    }
}

// y = max(0, scale x + shift)
CLONES void affine_relu(const uint16_t* __restrict x, int64_t pixels, int64_t channels, const float* __restrict scale,
                        const float* __restrict shift, uint16_t* __restrict y) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]) * scale[c] + shift[c];
      y[c] = narrow(v < 0.0f ? 0.0f : v);
    }
}

// g = dy where y > 0; sums over the pixels of g and g x.
CLONES void gradient_sums(const uint16_t* __restrict x, const uint16_t* __restrict dy, int64_t pixels, int64_t channels,
                          const float* __restrict scale, const float* __restrict shift, float* __restrict sum,
                          float* __restrict products) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, dy += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]);
      float above = wide(dy[c]), g = v * scale[c] + shift[c] <= 0.0f ? 0.0f : above;
      sum[c] += g;
      products[c] += g * v;
    }
}

// dx = scale g + slope x + constant
CLONES void gradient(const uint16_t* __restrict x, const uint16_t* __restrict dy, int64_t pixels, int64_t channels,
                     const float* __restrict scale, const float* __restrict shift, const float* __restrict slope,
                     const float* __restrict constant, uint16_t* __restrict dx) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, dy += channels, dx += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]);
      float above = wide(dy[c]), g = v * scale[c] + shift[c] <= 0.0f ? 0.0f : above;
      dx[c] = narrow(scale[c] * g + slope[c] * v + constant[c]);
    }
}

// Calls `work(begin, end)` for all of `count` samples, on as many threads as libtorch has. Not at::parallel_for: that
// needs an OpenMP of our own beside libtorch's. `work` allocates nothing and so throws nothing; a thread that cannot be
// had leaves its part to this one.
void each(int64_t count, const std::function<void(int64_t, int64_t)>& work) {
  int64_t parts = std::max<int64_t>(std::min<int64_t>(at::get_num_threads(), count), 1);
  std::vector<std::thread> others;
  others.reserve(parts);
  int64_t end = count;
  for (int64_t part = parts - 1; part > 0; --part) {
    int64_t begin = count * part / parts;
    try {
      others.emplace_back([&work, begin, end] { work(begin, end); });
    } catch (const std::exception&) {
      break;
    }
    end = begin;
  }
  work(0, end);
  for (std::thread& other : others) other.join();
}

const uint16_t* bits(const Tensor& t) { return reinterpret_cast<const uint16_t*>(t.const_data_ptr<at::BFloat16>()); }
uint16_t* bits_mut(Tensor& t) { return reinterpret_cast<uint16_t*>(t.data_ptr<at::BFloat16>()); }

struct GroupNormRelu : torch::autograd::Function<GroupNormRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weight, const Tensor& bias,
                        int64_t groups, double epsilon) {
    Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    int64_t count = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3), width = channels / groups;
    Tensor y = at::empty_like(x);
    // Per sample and channel: scale and shift; mean and 1 / deviation of its group, before that the sums.
    Tensor affine = at::zeros({count, 4, channels}, weight.options());
    const float *w = weight.const_data_ptr<float>(), *b = bias.const_data_ptr<float>();
    const uint16_t* from = bits(x);
    uint16_t* to = bits_mut(y);
    float* numbers = affine.data_ptr<float>();
    each(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const uint16_t* sample = from + i * pixels * channels;
        float *scale = numbers + i * 4 * channels, *shift = scale + channels;
        float *means = shift + channels, *inverse = means + channels;
        sums(sample, pixels, channels, means, inverse);
        for (int64_t g = 0; g < groups; ++g) {
          double s = 0, q = 0, n = static_cast<double>(pixels * width);
          for (int64_t c = g * width; c < (g + 1) * width; ++c) { s += means[c]; q += inverse[c]; }
          double mean = s / n, variance = std::max(q / n - mean * mean, 0.0), r = 1.0 / std::sqrt(variance + epsilon);
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            scale[c] = static_cast<float>(w[c] * r);
            shift[c] = static_cast<float>(b[c] - mean * w[c] * r);
            means[c] = static_cast<float>(mean);
            inverse[c] = static_cast<float>(r);
          }
        }
        affine_relu(sample, pixels, channels, scale, shift, to + i * pixels * channels);
      }
    });
    context->save_for_backward({x, weight, affine});
    context->saved_data["groups"] = groups;
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &affine = saved[2];
    int64_t groups = context->saved_data["groups"].toInt();
    Tensor dy = gradients[0].to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
    int64_t count = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3), width = channels / groups;
    Tensor dx = at::empty_like(x);
    // Per sample and channel: sums of g and of g x; what dx has beside scale g, slope and constant.
    Tensor parts = at::zeros({count, 4, channels}, weight.options());
    const float *w = weight.const_data_ptr<float>(), *numbers = affine.const_data_ptr<float>();
    const uint16_t *from = bits(x), *out = bits(dy);
    uint16_t* to = bits_mut(dx);
    float* all = parts.data_ptr<float>();
    each(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const uint16_t *sample = from + i * pixels * channels, *given = out + i * pixels * channels;
        const float *scale = numbers + i * 4 * channels, *shift = scale + channels;
        const float *means = shift + channels, *inverse = means + channels;
        float *sum = all + i * 4 * channels, *products = sum + channels;
        float *slope = products + channels, *constant = slope + channels;
        gradient_sums(sample, given, pixels, channels, scale, shift, sum, products);
        for (int64_t g = 0; g < groups; ++g) {
          double s = 0, p = 0, n = static_cast<double>(pixels * width);
          for (int64_t c = g * width; c < (g + 1) * width; ++c) { s += w[c] * sum[c]; p += w[c] * products[c]; }
          double mean = means[g * width], r = inverse[g * width];
          double a = (s * mean - p) * r * r * r / n;
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            slope[c] = static_cast<float>(a);
            constant[c] = static_cast<float>(-a * mean - s * r / n);
          }
        }
        gradient(sample, given, pixels, channels, scale, shift, slope, constant, to + i * pixels * channels);
      }
    });
    Tensor sum = parts.select(1, 0), products = parts.select(1, 1);
    Tensor means = affine.select(1, 2), inverse = affine.select(1, 3);
    Tensor dw = ((products - means * sum) * inverse).sum(0), db = sum.sum(0);
    return {dx, dw, db, Tensor(), Tensor()};
  }
};

}  // namespace

// `x` (B, C, H, W) bf16; `weight`, `bias` (C) f32. Answers a new tensor (B, C, H, W), or null and why in `error`.
extern "C" at::Tensor* visuomotor_group_norm_relu(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias,
                                                  int64_t groups, double epsilon, char* error, size_t room) {
  try {
    TORCH_CHECK(x->dim() == 4 && x->scalar_type() == at::kBFloat16 && x->device().is_cpu(),
                "x is not (B, C, H, W) in bf16 on a CPU");
    int64_t channels = x->size(1);
    TORCH_CHECK(groups > 0 && channels % groups == 0, channels, " channels do not fall into ", groups, " groups");
    for (const at::Tensor* t : {weight, bias})
      TORCH_CHECK(t->dim() == 1 && t->size(0) == channels && t->scalar_type() == at::kFloat && t->is_contiguous() &&
                      t->device().is_cpu(),
                  "weight and bias are not (", channels, ") in f32 on a CPU");
    return new at::Tensor(GroupNormRelu::apply(*x, *weight, *bias, groups, epsilon));
  } catch (const std::exception& e) {
    std::strncpy(error, e.what(), room - 1);
  } catch (...) {
    std::strncpy(error, "an exception of no known kind", room - 1);
  }
  error[room - 1] = 0;
  return nullptr;
}
