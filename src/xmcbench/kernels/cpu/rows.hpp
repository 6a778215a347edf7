// One label and one tile of documents: its scores, and the gradients by its weights and by its inputs. X: how features lie.
#pragma once

#include "features.hpp"

namespace {

using namespace xmc;

template <int NV, class X, class Index>
inline __attribute__((always_inline)) void scores(X x, const float *w, const Index *index, int64_t fan_in, float bias, vec *z) {
    vec s[NV];
    for (int v = 0; v < NV; v++) s[v] = all(bias);
    for (int64_t j = 0; j < fan_in; j++) {
        X row = x.template row<NV>(index[j]);
        const vec wj = all(w[j]);
        for (int v = 0; v < NV; v++) s[v] += wj * row.next(v);
    }
    for (int v = 0; v < NV; v++) z[v] = s[v];
}

// One connection: gx += w·g in place; returns the products g·x, still spread over the lanes.
template <int NV, class X>
inline __attribute__((always_inline)) vec spread_one(X row, float *gx, float weight, const vec *g) {
    const vec wj = all(weight);
    vec a = g[0] * row.next(0), b = {};
    store(gx, load(gx) + wj * g[0]);
    for (int v = 1; v < NV; v++) {
        if (v & 1)
            b += g[v] * row.next(v);
        else
            a += g[v] * row.next(v);
        store(gx + v * W, load(gx + v * W) + wj * g[v]);
    }
    return NV > 1 ? a + b : a;
}

// WIDTH: vectors of a whole row, of which NV are worked on. N connections (a power of two); their lane sums are added pairwise as they come, so that few wait in registers and none
// in memory. N = W leaves one vector of W sums.
template <int NV, int WIDTH, int N, class X, class Index>
inline __attribute__((always_inline)) vec spread_some(X x, float *gx, const float *w, const Index *index, const vec *g) {
    if constexpr (N == 1) {
        return spread_one<NV>(x.template row<WIDTH>(index[0]), gx + (int64_t)index[0] * (WIDTH * W), w[0], g);
    } else {
        const vec a = spread_some<NV, WIDTH, N / 2>(x, gx, w, index, g);
        const vec b = spread_some<NV, WIDTH, N / 2>(x, gx, w + N / 2, index + N / 2, g);
        return add_pairs<N>(a, b, std::make_index_sequence<W>{});
    }
}

// gx[i_j] += w_j·g and gw_j = Σ_b g·x[i_j]; `first` overwrites gw, later tiles add. Behind the K-th sum stand zeros.
template <int NV, int WIDTH, class X, class Index>
inline __attribute__((always_inline)) void spread(X x, float *gx, const float *w, const Index *index, int64_t fan_in,
                   const vec *gradient, bool first, float *gw) {
    vec g[NV];
    for (int v = 0; v < NV; v++) g[v] = gradient[v];
    // Backwards: the last rows that `scores` read are those still in the nearest cache.
    int64_t j = fan_in / W * W;
    if (j < fan_in) {
        vec s = {};
        for (int64_t n = 0; j + n < fan_in; n++) {
            float *to = gx + (int64_t)index[j + n] * (WIDTH * W);
            s[n] = sum(spread_one<NV>(x.template row<WIDTH>(index[j + n]), to, w[j + n], g));
        }
        store(gw + j, first ? s : load(gw + j) + s);
    }
    for (j -= W; j >= 0; j -= W) {
        const vec s = spread_some<NV, WIDTH, W>(x, gx, w + j, index + j, g);
        store(gw + j, first ? s : load(gw + j) + s);
    }
}

}  // namespace
