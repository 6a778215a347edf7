// Loss and score gradient of one label and one tile.
#pragma once

#include <cmath>

#include "work.hpp"

namespace {

using namespace xmc;

// Loss and its gradient for one label and one tile. Returns which vectors of g have one that is not zero, a bit each.
template <int NV, Loss LOSS, bool MASKED>
inline __attribute__((always_inline)) unsigned loss_gradient(const Step &step, float label_weight, const vec *z, const float *mask, const int64_t *row,
                          int64_t positives, int64_t first, float per_document, Work &work, vec *g, vec &total) {
    const float scale = step.scale * label_weight * per_document;
    const vec zero = {}, one = all(1.0f);
    vec s = {};
    if (LOSS == Loss::squared_hinge) {
        const vec size = all(2 * scale);
        for (int v = 0; v < NV; v++) {
            const vec m = z[v] + one;
            vec margin = larger(zero, m);
            if constexpr (MASKED) margin = (vec)(bits(margin) & bits(load(mask + v * W)));
            s += margin * margin;
            g[v] = margin * size;
        }
    } else {
        vec e[NV], d[NV], inverse[NV], all_d;
        exp_minus_size<NV>(z, e);
        for (int v = 0; v < NV; v++) {
            if constexpr (MASKED) e[v] = (vec)(bits(e[v]) & bits(load(mask + v * W)));  // 0 where no document is
            d[v] = e[v] + one;
            // softplus(z) = max(z, 0) + log(1 + e^−|z|); what rounding took from 1 + e is added to first order.
            vec positive = larger(zero, z[v]);
            if constexpr (MASKED) positive = (vec)(bits(positive) & bits(load(mask + v * W)));
            s += positive + (e[v] - (d[v] - one));
        }
        if constexpr (W > 8) {
            // A division of so many lanes is slow, so one serves NV: 1/d_v = (product of the others) / (product of all), 1 ≤ d ≤ 2.
            vec before[NV];
            before[0] = one;
            for (int v = 1; v < NV; v++) before[v] = before[v - 1] * d[v - 1];
            all_d = before[NV - 1] * d[NV - 1];
            vec rest = scale / all_d;
            for (int v = NV - 1; v >= 0; v--) inverse[v] = rest * before[v], rest *= d[v];
        } else {
            all_d = d[0];
            for (int v = 1; v < NV; v++) all_d *= d[v];
            for (int v = 0; v < NV; v++) inverse[v] = scale / d[v];
        }
        for (int v = 0; v < NV; v++) {
            g[v] = (z[v] < zero ? e[v] : one) * inverse[v];
            if constexpr (MASKED) g[v] = (vec)(bits(g[v]) & bits(load(mask + v * W)));
        }
        const vec product = work.logs.product * all_d;
        // The labels' logarithms share one product, unless they are weighted.
        if (label_weight == 1.0f) {
            work.logs.product = product;
            work.logs.renormalise();
        } else {
            LogSum own;
            own.product = all_d;
            for (int b = 0; b < W; b++) s[b] += std::log(own.product[b]);
        }
    }
    vec loss = s;
    if (positives) {
        alignas(64) float zs[NV * W], gs[NV * W];
        for (int v = 0; v < NV; v++) store(zs + v * W, z[v]), store(gs + v * W, g[v]);
        float correction = 0;
        for (int64_t p = 0; p < positives; p++) {
            const int64_t b = row[p] - first;
            if (b < 0 || b >= NV * W || (p && row[p] == row[p - 1])) continue;  // another tile's, or given twice
            if (LOSS == Loss::squared_hinge) {
                const float as_negative = zs[b] + 1 < 0 ? 0 : zs[b] + 1, m = 1 - zs[b] < 0 ? 0 : 1 - zs[b];
                correction += m * m - as_negative * as_negative;
                gs[b] = -2 * m * scale;
            } else {
                correction -= zs[b];
                gs[b] -= scale;
            }
        }
        loss[0] += correction;
        for (int v = 0; v < NV; v++) g[v] = load(gs + v * W);
    }
    work.losses += loss * label_weight;
    veci live = {};
    vec t = {};
    for (int v = 0; v < NV; v++) {
        live += (veci)(g[v] != zero);  // −1 where it is not zero (a NaN is not)
        t += g[v];
    }
    work.nonzero += live;
    total += t;
    if (sum(live) == 0) return 0;
    if (LOSS != Loss::squared_hinge) return (1u << NV) - 1;
    unsigned which = 0;
    for (int v = 0; v < NV; v++) which |= unsigned(sum((veci)(g[v] != zero)) != 0) << v;
    return which;
}

}  // namespace
