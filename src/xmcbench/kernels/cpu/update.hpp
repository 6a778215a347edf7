// One optimiser step on the weights of one label, in place.
#pragma once

#include <cmath>

#include "work.hpp"

namespace {

using namespace xmc;

// One optimiser step on n values; gradient null stands for zeros.
inline __attribute__((always_inline)) void advance(const Update &u, float rate, float decay, float *w, const float *gradient, float *first, float *second,
                    int64_t n) {
    const float keep = 1 - rate * decay;
    if (u.rule == Rule::sgd) {
        if (gradient)
            for (int64_t i = 0; i < n; i++) w[i] = w[i] * keep - rate * gradient[i];
        else if (keep != 1)
            for (int64_t i = 0; i < n; i++) w[i] *= keep;
    } else if (u.rule == Rule::momentum) {
        for (int64_t i = 0; i < n; i++) {
            first[i] = u.momentum * first[i] + (gradient ? gradient[i] : 0.0f);
            w[i] = w[i] * keep - rate * first[i];
        }
    } else {
        const float size = rate / u.correction1, root = 1 / std::sqrt(u.correction2);
        for (int64_t i = 0; i < n; i++) {
            const float g = gradient ? gradient[i] : 0.0f;
            first[i] = u.beta1 * first[i] + (1 - u.beta1) * g;
            second[i] = u.beta2 * second[i] + (1 - u.beta2) * g * g;
            w[i] = w[i] * keep - size * first[i] / (std::sqrt(second[i]) * root + u.epsilon);
        }
    }
}

// w: the label's weights as float32; where the layer keeps bfloat16, they are rounded from there.
void update_label(const Layer &layer, const Update &u, int64_t label, float *w, const float *gw, float g_bias, Work &work) {
    const int64_t k = layer.fan_in, at = label * k;
    if (gw) {
        vec lanes = {};  // behind the K-th value stand zeros
        for (int64_t j = 0; j < k; j += W) lanes += load(gw + j);
        if (!std::isfinite(g_bias + sum(lanes))) {
            if (work.bad < 0) work.bad = label;
            return;
        }
    }
    advance(u, u.rate, u.decay, w, gw, u.first ? u.first + at : nullptr, u.second ? u.second + at : nullptr, k);
    if (layer.bf16) {
        uint16_t *to = static_cast<uint16_t *>(layer.weight) + at;
        const uint32_t key = mixed(u.key, label);
        uint32_t slot = 0;  // a sum: a product with j costs a third of the generator
        for (int64_t j = 0; j < k; j++, slot += SLOT) to[j] = to_bf16(w[j], random16(key, slot));
    }
    advance(u, u.bias_rate, u.bias_decay, layer.bias + label, gw ? &g_bias : nullptr, u.bias_first ? u.bias_first + label : nullptr,
            u.bias_second ? u.bias_second + label : nullptr, 1);
}

}  // namespace
