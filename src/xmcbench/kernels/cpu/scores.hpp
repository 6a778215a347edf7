// The scores of labels, one after another, for one tile of documents.
#pragma once

#include "group.hpp"
#include "rows.hpp"

namespace {

using namespace xmc;

// Call f(label, its NV vectors of scores) for labels [first, last); `first` begins a group.
template <int NV, class F>
inline __attribute__((always_inline)) void each_score_of_groups(const Layer &layer, const float *x, int64_t first, int64_t last, Group &group,
                                                                F &&f) {
    vec z[NV];
    for (int64_t at = first; at < last; at += layer.group) {
        const int64_t count = at + layer.group < last ? layer.group : last - at;
        group.gather<NV>(x, layer, at);
        group.weights(layer, at, count);
        group.scores<NV>(layer, at, count);
        for (int64_t m = 0; m < count; m++) {
            for (int v = 0; v < NV; v++) z[v] = load(group.g.p + (m * NV + v) * W);
            f(at + m, z);
        }
    }
}

// The same for labels with rows of their own.
template <int NV, class Index, class F>
inline __attribute__((always_inline)) void each_score_of_labels(const Layer &layer, const Index *index, const float *x, int64_t first,
                                                                int64_t last, float *row, F &&f) {
    vec z[NV];
    for (int64_t label = first; label < last; label++) {
        const float *w = weights_of(layer, label, row);
        scores<NV>(x, w, index + label * layer.fan_in, layer.fan_in, layer.bias[label], z);
        f(label, z);
    }
}

// The same for any layer.
template <int NV, class F>
inline __attribute__((always_inline)) void each_score(const Layer &layer, const float *x, int64_t first, int64_t last, Group &group, float *row,
                       F &&f) {
    by_layer<NV>(
        layer, [&]() { each_score_of_groups<NV>(layer, x, first, last, group, f); },
        [&](const auto *index) { each_score_of_labels<NV>(layer, index, x, first, last, row, f); });
}

}  // namespace
