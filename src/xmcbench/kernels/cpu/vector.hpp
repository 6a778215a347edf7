// Vectors of XMC_WIDTH floats in the compiler's own notation: one source, compiled once for each instruction set.
// Everything is in an unnamed namespace, so that no function built for AVX-512 can be picked for another machine.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>
#if XMC_WIDTH > 4
#include <immintrin.h>
#endif

namespace {

constexpr int W = XMC_WIDTH;
using vec = float __attribute__((vector_size(W * 4)));
using veci = int32_t __attribute__((vector_size(W * 4)));
using vec_anywhere = float __attribute__((vector_size(W * 4), aligned(4), may_alias));

inline __attribute__((always_inline)) vec load(const float *p) { return *reinterpret_cast<const vec_anywhere *>(p); }
inline __attribute__((always_inline)) void store(float *p, vec v) { *reinterpret_cast<vec_anywhere *>(p) = v; }
// Past the caches, for what is too large to be read from them again; p is aligned to a whole vector.
inline __attribute__((always_inline)) void store_past(float *p, vec v) {
#if XMC_WIDTH == 16
    _mm512_stream_ps(p, (__m512)v);
#elif XMC_WIDTH == 8
    _mm256_stream_ps(p, (__m256)v);
#else
    store(p, v);
#endif
}
inline __attribute__((always_inline)) vec all(float s) { return s - vec{}; }
inline __attribute__((always_inline)) veci bits(vec v) { return (veci)v; }
inline __attribute__((always_inline)) vec where(veci mask, vec yes, vec no) { return (vec)((mask & bits(yes)) | (~mask & bits(no))); }

// Every lane gets the sum of all, halves first: the order is fixed.
template <class V>
inline __attribute__((always_inline)) V fold(V v) {
#if XMC_WIDTH == 16
    v += __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif XMC_WIDTH == 8
    v += __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
#else
    v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
    v += __builtin_shufflevector(v, v, 1, 0, 3, 2);
#endif
    return v;
}
inline __attribute__((always_inline)) float sum(vec v) { return fold(v)[0]; }
inline __attribute__((always_inline)) int32_t sum(veci v) { return fold(v)[0]; }

// A round of turning W vectors into the vector of their sums, in order; N is how many vectors' sums the result holds parts
// of. The first two rounds add neighbours within quarters of 4 lanes (one instruction does not cross them cheaply), the
// later ones add neighbouring quarters.
template <int N, std::size_t... P>
inline __attribute__((always_inline)) vec add_pairs(vec a, vec b, std::index_sequence<P...>) {
    constexpr auto of = [](int p, int odd) {
        if (N <= 4) return p / 4 * 4 + (p % 2) * 2 + odd + (p % 4 >= 2 ? W : 0);
        return ((p / 4 * 2 + odd) % (W / 4)) * 4 + p % 4 + (p >= W / 2 ? W : 0);
    };
    return __builtin_shufflevector(a, b, (of(int(P), 0))...) + __builtin_shufflevector(a, b, (of(int(P), 1))...);
}

// One step of a transposition: of two rows S apart, the lanes with bit S change places.
template <int S, std::size_t... P>
inline __attribute__((always_inline)) void exchange(vec &a, vec &b, std::index_sequence<P...>) {
    const vec low = __builtin_shufflevector(a, b, ((int(P) & S) ? W + int(P) - S : int(P))...);
    b = __builtin_shufflevector(a, b, ((int(P) & S) ? W + int(P) : int(P) + S)...);
    a = low;
}
template <int S = 1>
inline __attribute__((always_inline)) void transpose(vec *rows) {
    for (int i = 0; i < W; i++)
        if (!(i & S)) exchange<S>(rows[i], rows[i + S], std::make_index_sequence<W>{});
    if constexpr (2 * S < W) transpose<2 * S>(rows);
}

inline __attribute__((always_inline)) vec minus_size(vec v) { return (vec)(bits(v) | INT32_MIN); }

// The larger of two, lane by lane; b where one is NaN.
inline __attribute__((always_inline)) vec larger(vec a, vec b) {
#if XMC_WIDTH == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif XMC_WIDTH == 8
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return a > b ? a : b;
#endif
}

#if XMC_WIDTH == 16
// e^−|x| of N vectors (2 ulp); below −87 it is e^−87, a NaN stays. −|x| = (n/32)·log 2 + r: 2^(n/32) from a table of two registers, and
// e^r − 1 of |r| ≤ log(2)/64 from a square (5e−8; the coefficient of r makes it so). Vector by vector at each stage: N chains of a
// dozen dependent instructions, one after another, fill the schedulers of a core and leave its units idle.
template <int N>
inline __attribute__((always_inline)) void exp_minus_size(const vec *x, vec *e) {
    // The mantissas of 2^(i/32).
    constexpr veci low{0,       183687,  371395,  563215,  759234,  959546,  1164243, 1373424,
                       1587184, 1805626, 2028850, 2256963, 2490071, 2728283, 2971711, 3220470};
    constexpr veci high{3474675, 3734447, 3999908, 4271181, 4548394, 4831678, 5121164, 5416990,
                        5719293, 6028216, 6343903, 6666503, 6996167, 7333050, 7677309, 8029107};
    vec shifted[N], r[N];
    for (int v = 0; v < N; v++) e[v] = larger(all(-87.0f), minus_size(x[v]));
    // 1.5·2²³ rounds to the nearest integer n; with 32·127 more, the bits above its last five are those of the exponent of 2^(n/32).
    for (int v = 0; v < N; v++) shifted[v] = e[v] * 46.16624130844683f + 12586976.0f;
    for (int v = 0; v < N; v++) {
        const vec n = shifted[v] - 12586976.0f;
        r[v] = (e[v] - n * (0.693359375f / 32)) + n * (2.12194440e-4f / 32);
    }
    for (int v = 0; v < N; v++) e[v] = r[v] * 0.5f + 1.0000147f;
    for (int v = 0; v < N; v++) e[v] = e[v] * r[v] + 1.0f;
    for (int v = 0; v < N; v++) {
        const veci mantissa = __builtin_shuffle(low, high, bits(shifted[v]));
        e[v] *= (vec)((bits(shifted[v]) << 18 & ~0x7fffff) | mantissa);
    }
}
#else
// e^−|x| of N vectors (Cephes' polynomial, 2 ulp); below −87 it is e^−87, a NaN stays. Vector by vector at each stage: N
// chains of twenty dependent instructions, one after another, fill the schedulers of a core and leave its units idle.
template <int N>
inline __attribute__((always_inline)) void exp_minus_size(const vec *x, vec *e) {
    vec shifted[N], r[N];
    for (int v = 0; v < N; v++) e[v] = larger(all(-87.0f), minus_size(x[v]));
    // 1.5·2²³ rounds to the nearest integer n; with 127 more, its low bits are those of the exponent of 2ⁿ.
    for (int v = 0; v < N; v++) shifted[v] = e[v] * 1.44269504088896341f + 12583039.0f;
    for (int v = 0; v < N; v++) {
        const vec n = shifted[v] - 12583039.0f;
        r[v] = (e[v] - n * 0.693359375f) + n * 2.12194440e-4f;
    }
    for (int v = 0; v < N; v++) e[v] = r[v] * 1.9875691500e-4f + 1.3981999507e-3f;
    for (int v = 0; v < N; v++) e[v] = e[v] * r[v] + 8.3334519073e-3f;
    for (int v = 0; v < N; v++) e[v] = e[v] * r[v] + 4.1665795894e-2f;
    for (int v = 0; v < N; v++) e[v] = e[v] * r[v] + 1.6666665459e-1f;
    for (int v = 0; v < N; v++) e[v] = e[v] * r[v] + 5.0000001201e-1f;
    for (int v = 0; v < N; v++) e[v] = e[v] * (r[v] * r[v]) + r[v] + 1.0f;
    for (int v = 0; v < N; v++) e[v] *= (vec)(bits(shifted[v]) << 23);
}
#endif

// Σ log(d) over many d ≥ 1, lane by lane, as product and exponent: one multiplication each, one logarithm at the end.
struct LogSum {
    vec product = all(1.0f);
    veci exponent = {};

    void times(vec d) { product *= d; }
    // To be called before 2¹²⁷ can be reached.
    void renormalise() {
        exponent += (bits(product) >> 23) - 127;
        product = (vec)((bits(product) & 0x7fffff) | (127 << 23));
    }
};

inline __attribute__((always_inline)) float from_bf16(uint16_t b) {
    const uint32_t u = (uint32_t)b << 16;
    float f;
    std::memcpy(&f, &u, 4);
    return f;
}

// One key for a label at a step (splitmix64's finaliser).
inline __attribute__((always_inline)) uint32_t mixed(uint64_t key, int64_t label) {
    uint64_t h = key + (uint64_t)label * 0x9E3779B97F4A7C15ull;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9ull;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBull;
    return (uint32_t)((h ^ (h >> 31)) >> 16);
}

// 16 random bits of (key, label, slot j), of which j·SLOT is given: the same whatever thread asks, and in whatever order.
constexpr uint32_t SLOT = 0x9E3779B1u;
inline __attribute__((always_inline)) uint32_t random16(uint32_t key, uint32_t slot) {
    uint32_t x = key ^ slot;
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x >> 16;
}

// Stochastic rounding: up with the probability that makes the mean right.
inline __attribute__((always_inline)) uint16_t to_bf16(float f, uint32_t random) {
    uint32_t u;
    std::memcpy(&u, &f, 4);
    return (uint16_t)((u + random) >> 16);
}

}  // namespace
