// One label and one tile of documents: its scores, and the gradients by its weights and by its inputs.
#pragma once

#include "tiles.hpp"

namespace {

using namespace xmc;

// ROWS: rows between one feature and the next (2 where rows of x and of its gradient take turns).
template <int NV, int ROWS, class Index>
inline __attribute__((always_inline)) void scores(const float *x, const float *w, const Index *index, int64_t fan_in, float bias, vec *z) {
    vec s[NV];
    for (int v = 0; v < NV; v++) s[v] = all(bias);
    for (int64_t j = 0; j < fan_in; j++) {
        const float *row = x + (int64_t)index[j] * (NV * W * ROWS);
        const vec wj = all(w[j]);
        for (int v = 0; v < NV; v++) s[v] += wj * load(row + v * W);
    }
    for (int v = 0; v < NV; v++) z[v] = s[v];
}

// gx[i_j] += w_j·g, and partial sums of gw_j = Σ_b g·x[i_j] by lane.
template <int NV, class Index>
inline __attribute__((always_inline)) void spread(float *xg, const float *w, const Index *index, int64_t fan_in, const vec *gradient,
                   float *partial) {
    vec g[NV];
    for (int v = 0; v < NV; v++) g[v] = gradient[v];
    for (int64_t j = 0; j < fan_in; j++) {
        const float *from = xg + (int64_t)index[j] * (NV * W * 2);
        float *to = xg + (int64_t)index[j] * (NV * W * 2) + NV * W;
        const vec wj = all(w[j]);
        vec a = g[0] * load(from), b = {};
        store(to, load(to) + wj * g[0]);
        for (int v = 1; v < NV; v++) {
            if (v & 1)
                b += g[v] * load(from + v * W);
            else
                a += g[v] * load(from + v * W);
            store(to + v * W, load(to + v * W) + wj * g[v]);
        }
        store(partial + j * W, a + b);
    }
}

// Turn K lane sums into the K weight gradients; `first` overwrites, later tiles add.
inline __attribute__((always_inline)) void reduce(const float *partial, int64_t fan_in, bool first, float *gw) {
    for (int64_t j = 0; j < fan_in; j += W) {
        vec a[W];
        for (int i = 0; i < W; i++) a[i] = load(partial + (j + i) * W);
        const vec s = sums(a);
        store(gw + j, first ? s : load(gw + j) + s);
    }
}

}  // namespace
