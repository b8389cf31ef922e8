// GroupNorm and ReLU in one, of bf16 or f32 activations whose channels lie together, on a CPU, with its gradient.
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
// Into each of those versions, so that it is compiled for it.
#define INLINE inline __attribute__((always_inline))

inline float wide(float v) { return v; }

inline float wide(uint16_t v) {
  uint32_t bits = static_cast<uint32_t>(v) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

inline void narrow(float v, float& out) { out = v; }

// Round to nearest even; a NaN stays one, because its upper half does where it is quiet.
inline void narrow(float v, uint16_t& out) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  out = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Pixels whose numbers are summed in f32 before they go into a double. In bf16 the numbers themselves are coarser than that.
template <typename T>
constexpr int64_t PIXELS = 64;
template <>
constexpr int64_t PIXELS<uint16_t> = INT64_MAX;

// Sums over pixels, for each channel: of x and of x^2.
template <typename T>
INLINE void sums_of(const T* __restrict x, int64_t pixels, int64_t channels, float* __restrict sum,
                    float* __restrict squares) {
  for (int64_t p = 0; p < pixels; ++p, x += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]);
      sum[c] += v;
      squares[c] += v * v;
    }
}

// y = max(0, scale x + shift)
template <typename T>
INLINE void affine_relu_of(const T* __restrict x, int64_t pixels, int64_t channels, const float* __restrict scale,
                           const float* __restrict shift, T* __restrict y) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]) * scale[c] + shift[c];
      narrow(v < 0.0f ? 0.0f : v, y[c]);
    }
}

// g = dy where y > 0; sums over pixels of g and g x.
template <typename T>
INLINE void gradient_sums_of(const T* __restrict x, const T* __restrict dy, int64_t pixels, int64_t channels,
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
template <typename T>
INLINE void gradient_of(const T* __restrict x, const T* __restrict dy, int64_t pixels, int64_t channels,
                        const float* __restrict scale, const float* __restrict shift, const float* __restrict slope,
                        const float* __restrict constant, T* __restrict dx) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, dy += channels, dx += channels)
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]);
      float above = wide(dy[c]), g = v * scale[c] + shift[c] <= 0.0f ? 0.0f : above;
      narrow(scale[c] * g + slope[c] * v + constant[c], dx[c]);
    }
}

// The four for both kinds of numbers, each for several widths of the processor's vectors.
#define FOR_NUMBERS(T)                                                                                              \
  CLONES void sums(const T* x, int64_t pixels, int64_t channels, float* sum, float* squares) {                      \
    sums_of(x, pixels, channels, sum, squares);                                                                     \
  }                                                                                                                 \
  CLONES void affine_relu(const T* x, int64_t pixels, int64_t channels, const float* scale, const float* shift,     \
                          T* y) {                                                                                   \
    affine_relu_of(x, pixels, channels, scale, shift, y);                                                           \
  }                                                                                                                 \
  CLONES void gradient_sums(const T* x, const T* dy, int64_t pixels, int64_t channels, const float* scale,          \
                            const float* shift, float* sum, float* products) {                                      \
    gradient_sums_of(x, dy, pixels, channels, scale, shift, sum, products);                                         \
  }                                                                                                                 \
  CLONES void gradient(const T* x, const T* dy, int64_t pixels, int64_t channels, const float* scale,               \
                       const float* shift, const float* slope, const float* constant, T* dx) {                      \
    gradient_of(x, dy, pixels, channels, scale, shift, slope, constant, dx);                                        \
  }
FOR_NUMBERS(uint16_t)
FOR_NUMBERS(float)
#undef FOR_NUMBERS

// Runs `some(from pixel, pixels)` over all pixels in parts, each of which adds up into `sums` (2, channels), and leaves the
// sums of the parts' sums in `totals`.
template <typename T, typename Some>
void in_parts(int64_t pixels, int64_t channels, float* sums, double* totals, Some some) {
  std::fill(totals, totals + 2 * channels, 0.0);
  for (int64_t from = 0; from < pixels;) {
    int64_t part = std::min(PIXELS<T>, pixels - from);
    std::fill(sums, sums + 2 * channels, 0.0f);
    some(from, part);
    for (int64_t c = 0; c < 2 * channels; ++c) totals[c] += sums[c];
    from += part;
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

const uint16_t* numbers(const Tensor& t, uint16_t) {
  return reinterpret_cast<const uint16_t*>(t.const_data_ptr<at::BFloat16>());
}
uint16_t* numbers_mut(Tensor& t, uint16_t) { return reinterpret_cast<uint16_t*>(t.data_ptr<at::BFloat16>()); }
const float* numbers(const Tensor& t, float) { return t.const_data_ptr<float>(); }
float* numbers_mut(Tensor& t, float) { return t.data_ptr<float>(); }

struct GroupNormRelu : torch::autograd::Function<GroupNormRelu> {
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& weight, const Tensor& bias,
                        int64_t groups, double epsilon) {
    Tensor x = input.contiguous(at::MemoryFormat::ChannelsLast);
    Tensor y = at::empty_like(x);
    // Per sample and channel: scale and shift; mean and 1 / deviation of its group, before that the sums.
    Tensor affine = at::empty({x.size(0), 4, x.size(1)}, weight.options());
    if (x.scalar_type() == at::kFloat)
      forward_of<float>(x, weight, bias, groups, epsilon, y, affine);
    else
      forward_of<uint16_t>(x, weight, bias, groups, epsilon, y, affine);
    context->save_for_backward({x, weight, affine});
    context->saved_data["groups"] = groups;
    return y;
  }

  template <typename T>
  static void forward_of(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups, double epsilon,
                         Tensor& y, Tensor& affine) {
    int64_t count = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3), width = channels / groups;
    Tensor totals = at::empty({count, 2, channels}, weight.options().dtype(at::kDouble));
    const float *w = weight.const_data_ptr<float>(), *b = bias.const_data_ptr<float>();
    const T* from = numbers(x, T());
    T* to = numbers_mut(y, T());
    float* rows = affine.data_ptr<float>();
    double* all = totals.data_ptr<double>();
    each(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* sample = from + i * pixels * channels;
        float *scale = rows + i * 4 * channels, *shift = scale + channels;
        float *means = shift + channels, *inverse = means + channels;
        double *sum = all + i * 2 * channels, *squares = sum + channels;
        in_parts<T>(pixels, channels, means, sum, [&](int64_t p, int64_t part) {
          sums(sample + p * channels, part, channels, means, inverse);
        });
        for (int64_t g = 0; g < groups; ++g) {
          double s = 0, q = 0, n = static_cast<double>(pixels * width);
          for (int64_t c = g * width; c < (g + 1) * width; ++c) { s += sum[c]; q += squares[c]; }
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
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &affine = saved[2];
    int64_t groups = context->saved_data["groups"].toInt();
    Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    Tensor dx = at::empty_like(x);
    // Per sample and channel: sums of g and of g x; what dx has beside scale g, slope and constant.
    Tensor parts = at::empty({x.size(0), 4, x.size(1)}, weight.options());
    if (x.scalar_type() == at::kFloat)
      backward_of<float>(x, weight, affine, dy, groups, dx, parts);
    else
      backward_of<uint16_t>(x, weight, affine, dy, groups, dx, parts);
    Tensor sum = parts.select(1, 0), products = parts.select(1, 1);
    Tensor means = affine.select(1, 2), inverse = affine.select(1, 3);
    Tensor dw = ((products - means * sum) * inverse).sum(0), db = sum.sum(0);
    return {dx, dw, db, Tensor(), Tensor()};
  }

  template <typename T>
  static void backward_of(const Tensor& x, const Tensor& weight, const Tensor& affine, const Tensor& dy, int64_t groups,
                          Tensor& dx, Tensor& parts) {
    int64_t count = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3), width = channels / groups;
    Tensor totals = at::empty({count, 2, channels}, weight.options().dtype(at::kDouble));
    const float *w = weight.const_data_ptr<float>(), *rows = affine.const_data_ptr<float>();
    const T *from = numbers(x, T()), *out = numbers(dy, T());
    T* to = numbers_mut(dx, T());
    float* all = parts.data_ptr<float>();
    double* doubles = totals.data_ptr<double>();
    each(count, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T *sample = from + i * pixels * channels, *given = out + i * pixels * channels;
        const float *scale = rows + i * 4 * channels, *shift = scale + channels;
        const float *means = shift + channels, *inverse = means + channels;
        float *sum = all + i * 4 * channels, *products = sum + channels;
        float *slope = products + channels, *constant = slope + channels;
        double *sum_all = doubles + i * 2 * channels, *products_all = sum_all + channels;
        in_parts<T>(pixels, channels, sum, sum_all, [&](int64_t p, int64_t part) {
          gradient_sums(sample + p * channels, given + p * channels, part, channels, scale, shift, sum, products);
        });
        for (int64_t c = 0; c < 2 * channels; ++c) sum[c] = static_cast<float>(sum_all[c]);
        for (int64_t g = 0; g < groups; ++g) {
          double s = 0, p = 0, n = static_cast<double>(pixels * width);
          for (int64_t c = g * width; c < (g + 1) * width; ++c) { s += w[c] * sum_all[c]; p += w[c] * products_all[c]; }
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
  }
};

}  // namespace

// `x` (B, C, H, W) bf16 or f32; `weight`, `bias` (C) f32. Answers a new tensor (B, C, H, W), or null and why in `error`.
extern "C" at::Tensor* visuomotor_group_norm_relu(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias,
                                                  int64_t groups, double epsilon, char* error, size_t room) {
  try {
    bool known = x->scalar_type() == at::kBFloat16 || x->scalar_type() == at::kFloat;
    TORCH_CHECK(x->dim() == 4 && known && x->device().is_cpu(), "x is not (B, C, H, W) in bf16 or f32 on a CPU");
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
