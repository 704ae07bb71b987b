// Products of a few rows with a matrix, and their attention, in bfloat16: `few_rows.py` says what for.
//
// A matrix lies in tiles of 16 outputs, each tile one stream of memory: for every pair of inputs the 16 outputs'
// two weights, 64 bytes, which one instruction multiplies by one pair of a row and adds up in float32.

#include <immintrin.h>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using torch::stable::Tensor;

namespace {

constexpr int64_t OUTPUTS = 16; // of a tile: floats in a register
constexpr int64_t MOST = 16; // rows at a time: as many sums as leave registers for the weights
constexpr int64_t AHEAD = 64; // registers of weights: the processor's own prefetch stops at the end of a page
constexpr int SUMS = 8; // at least so many independent ones, or each waits for the one before

// Rows `x` as pairs: those of all rows for the first two inputs, for the next two, and so on.
void interleave(const int32_t* x, int64_t rows, int64_t pairs, int32_t* out) {
  for (int64_t pair = 0; pair < pairs; ++pair)
    for (int64_t row = 0; row < rows; ++row) out[pair * rows + row] = x[row * pairs + pair];
}

template <int ROWS>
void tile(const __m512i* weight, const int32_t* x, int64_t pairs, __mmask16 width, uint16_t* out, int64_t n_out) {
  constexpr int APART = ROWS >= SUMS ? 1 : (SUMS + ROWS - 1) / ROWS;
  __m512 sums[ROWS][APART];
#pragma GCC unroll 16
  for (int row = 0; row < ROWS; ++row)
#pragma GCC unroll 8
    for (int part = 0; part < APART; ++part) sums[row][part] = _mm512_setzero_ps();
  int64_t pair = 0;
  for (; pair + APART <= pairs; pair += APART) {
#pragma GCC unroll 8
    for (int part = 0; part < APART; ++part) {
      _mm_prefetch(weight + pair + part + AHEAD, _MM_HINT_T0);
      const __m512bh w = (__m512bh)_mm512_loadu_si512(weight + pair + part);
#pragma GCC unroll 16
      for (int row = 0; row < ROWS; ++row)
        sums[row][part] =
            _mm512_dpbf16_ps(sums[row][part], w, (__m512bh)_mm512_set1_epi32(x[(pair + part) * ROWS + row]));
    }
  }
  for (; pair < pairs; ++pair) {
    const __m512bh w = (__m512bh)_mm512_loadu_si512(weight + pair);
#pragma GCC unroll 16
    for (int row = 0; row < ROWS; ++row)
      sums[row][0] = _mm512_dpbf16_ps(sums[row][0], w, (__m512bh)_mm512_set1_epi32(x[pair * ROWS + row]));
  }
#pragma GCC unroll 16
  for (int row = 0; row < ROWS; ++row) {
    __m512 sum = sums[row][0];
#pragma GCC unroll 8
    for (int part = 1; part < APART; ++part) sum = _mm512_add_ps(sum, sums[row][part]);
    _mm256_mask_storeu_epi16(out + row * n_out, width, (__m256i)_mm512_cvtneps_pbh(sum));
  }
}

using Tile = void (*)(const __m512i*, const int32_t*, int64_t, __mmask16, uint16_t*, int64_t);

template <std::size_t... I>
Tile tile_of(int64_t rows, std::index_sequence<I...>) {
  static constexpr Tile all[] = {tile<int(I) + 1>...};
  return all[rows - 1];
}

// `x` (n, 2 * pairs) by `weight` (tiles, pairs, 32) to (n, n_out); all bfloat16, contiguous.
Tensor few_rows(const Tensor& x, const Tensor& weight, int64_t n_out) {
  const int64_t n = x.size(0), tiles = weight.size(0), pairs = weight.size(1);
  STD_TORCH_CHECK(x.dim() == 2 && x.size(1) == 2 * pairs, "few_rows: the rows do not fit the weights");
  STD_TORCH_CHECK(tiles == (n_out + OUTPUTS - 1) / OUTPUTS, "few_rows: the weights are of another width");
  Tensor out = torch::stable::new_empty(x, {n, n_out});
  const auto* in = static_cast<const int32_t*>(x.const_data_ptr());
  const auto* w = static_cast<const __m512i*>(weight.const_data_ptr());
  auto* to = static_cast<uint16_t*>(out.mutable_data_ptr());
  torch::stable::parallel_for(0, tiles, 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<int32_t> turned;
    for (int64_t first = 0; first < n; first += MOST) {
      const int64_t rows = std::min(MOST, n - first);
      const int32_t* own = in + first * pairs;
      if (rows > 1) {
        turned.resize(rows * pairs);
        interleave(own, rows, pairs, turned.data());
        own = turned.data();
      }
      const Tile go = tile_of(rows, std::make_index_sequence<MOST>());
      for (int64_t at = begin; at < end; ++at) {
        const int64_t left = std::min(OUTPUTS, n_out - at * OUTPUTS);
        go(w + at * pairs, own, pairs, __mmask16((1u << left) - 1), to + first * n_out + at * OUTPUTS, n_out);
      }
    }
  });
  return out;
}

constexpr int64_t LANES = 16;

// The sums of 16 registers, in one.
__m512 sums_of(const __m512* x) {
  __m512 pairs[8], fours[4], eights[2];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    pairs[i] = _mm512_add_ps(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512d one = _mm512_castps_pd(pairs[2 * i]), other = _mm512_castps_pd(pairs[2 * i + 1]);
    fours[i] = _mm512_add_ps(
        _mm512_castpd_ps(_mm512_unpacklo_pd(one, other)), _mm512_castpd_ps(_mm512_unpackhi_pd(one, other)));
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    eights[i] = _mm512_add_ps(
        _mm512_shuffle_f32x4(fours[2 * i], fours[2 * i + 1], 0x88),
        _mm512_shuffle_f32x4(fours[2 * i], fours[2 * i + 1], 0xdd));
  return _mm512_add_ps(
      _mm512_shuffle_f32x4(eights[0], eights[1], 0x88), _mm512_shuffle_f32x4(eights[0], eights[1], 0xdd));
}

// e^x for x <= 0, to 2e-7 relative: 2^n by the exponent, 2^f for f in [-1/2, 1/2] by its Taylor series.
__m512 exp_of(__m512 x) {
  const __m512 y = _mm512_max_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _mm512_set1_ps(-150.0f));
  const __m512 n = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(y, n);
  __m512 p = _mm512_set1_ps(1.54035304e-4f); // ln(2)^6 / 6!
  for (const float next : {1.33335581e-3f, 9.61812911e-3f, 5.55041087e-2f, 2.40226507e-1f, 6.93147181e-1f, 1.0f})
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(next));
  return _mm512_scalef_ps(p, n);
}

// One query on the first `n` keys, `step` apart; PARTS registers of 32 numbers make a head.
template <int PARTS>
void attend(
    const uint16_t* q, const uint16_t* k, const uint16_t* v, int64_t n, int64_t k_step, int64_t v_step,
    float* weights, uint16_t* out) {
  __m512bh query[PARTS];
#pragma GCC unroll 8
  for (int part = 0; part < PARTS; ++part) query[part] = (__m512bh)_mm512_loadu_si512(q + 32 * part);
  const __m512 scale = _mm512_set1_ps(1.0f / std::sqrt(32.0f * PARTS));
  __m512 top = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  for (int64_t key = 0; key < n; key += LANES) {
    __m512 products[LANES];
#pragma GCC unroll 16
    for (int64_t lane = 0; lane < LANES; ++lane) {
      const uint16_t* at = k + std::min(key + lane, n - 1) * k_step;
      products[lane] = _mm512_setzero_ps();
#pragma GCC unroll 8
      for (int part = 0; part < PARTS; ++part)
        products[lane] = _mm512_dpbf16_ps(products[lane], query[part], (__m512bh)_mm512_loadu_si512(at + 32 * part));
    }
    const __m512 logits = _mm512_mul_ps(sums_of(products), scale);
    top = _mm512_max_ps(top, logits); // lanes behind the last key hold that key again
    _mm512_storeu_ps(weights + key, logits);
  }
  const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(top));
  __m512 total = _mm512_setzero_ps();
  for (int64_t key = 0; key < n; key += LANES) {
    const __mmask16 real = n - key >= LANES ? __mmask16(-1) : __mmask16((1u << (n - key)) - 1);
    const __m512 weight = _mm512_maskz_mov_ps(real, exp_of(_mm512_sub_ps(_mm512_loadu_ps(weights + key), most)));
    total = _mm512_add_ps(total, weight);
    _mm512_storeu_ps(weights + key, weight);
  }
  __m512 sums[2 * PARTS];
#pragma GCC unroll 16
  for (int part = 0; part < 2 * PARTS; ++part) sums[part] = _mm512_setzero_ps();
  for (int64_t key = 0; key < n; ++key) {
    const __m512 weight = _mm512_set1_ps(weights[key]);
#pragma GCC unroll 16
    for (int part = 0; part < 2 * PARTS; ++part) {
      const __m256i half = _mm256_loadu_si256((const __m256i*)(v + key * v_step + LANES * part));
      const __m512 value = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
      sums[part] = _mm512_fmadd_ps(weight, value, sums[part]);
    }
  }
  const __m512 share = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(total));
#pragma GCC unroll 16
  for (int part = 0; part < 2 * PARTS; ++part)
    _mm256_storeu_si256(
        (__m256i*)(out + LANES * part), (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(sums[part], share)));
}

using Attend =
    void (*)(const uint16_t*, const uint16_t*, const uint16_t*, int64_t, int64_t, int64_t, float*, uint16_t*);

// `q` (B, H, 1, d) on `k`, `v` (B, G, K, d) up to the key `positions` (B, 1), to (B, 1, H * d).
Tensor attend_one(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& positions) {
  static constexpr Attend all[] = {attend<1>, attend<2>, attend<3>, attend<4>, attend<5>, attend<6>, attend<7>, attend<8>};
  const int64_t B = q.size(0), H = q.size(1), d = q.size(3), G = k.size(1), shared = H / G;
  STD_TORCH_CHECK(d % 32 == 0 && d <= 256, "attend_one: heads must be 32, 64, ..., 256 wide");
  STD_TORCH_CHECK(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1, "attend_one: heads must lie in one piece");
  const Attend go = all[d / 32 - 1];
  Tensor out = torch::stable::new_empty(q, {B, 1, H * d});
  const auto* queries = static_cast<const uint16_t*>(q.const_data_ptr());
  const auto* keys = static_cast<const uint16_t*>(k.const_data_ptr());
  const auto* values = static_cast<const uint16_t*>(v.const_data_ptr());
  const auto* last = static_cast<const int64_t*>(positions.const_data_ptr());
  auto* to = static_cast<uint16_t*>(out.mutable_data_ptr());
  torch::stable::parallel_for(0, B * G, 1, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> weights;
    weights.resize(k.size(2) + LANES);
    for (int64_t at = begin; at < end; ++at) {
      const int64_t b = at / G, g = at % G;
      for (int64_t h = g * shared; h < (g + 1) * shared; ++h)
        go(queries + b * q.stride(0) + h * q.stride(1), keys + b * k.stride(0) + g * k.stride(1),
           values + b * v.stride(0) + g * v.stride(1), last[b * positions.stride(0)] + 1, k.stride(2), v.stride(2),
           weights.data(), to + (b * H + h) * d);
    }
  });
  return out;
}

} // namespace

STABLE_TORCH_LIBRARY(groundup, m) {
  m.def("few_rows(Tensor x, Tensor weight, int n_out) -> Tensor");
  // Of any strides: else the compiler copies the memory of all rows, which is 2 ms of a step.
  m.def("attend_one(Tensor q, Tensor k, Tensor v, Tensor positions) -> Tensor", {at::Tag::flexible_layout});
}

STABLE_TORCH_LIBRARY_IMPL(groundup, CPU, m) {
  m.impl("few_rows", TORCH_BOX(&few_rows));
  m.impl("attend_one", TORCH_BOX(&attend_one));
}
