// The scores of labels, one after another, for one tile of documents.
#pragma once

#include "group.hpp"
#include "rows.hpp"

namespace {

using namespace xmc;

// Call f(label, its NV vectors of scores) for the `count` labels of the group that begins at `first`; `weights`: theirs, as float32.
template <int NV, class F>
inline __attribute__((always_inline)) void each_score_of_group(const Layer &layer, const float *weights, const float *x, int64_t first,
                                                               int64_t count, Group &group, F &&f) {
    vec z[NV];
    group.gather<NV>(x, layer, first);
    group.weights(weights, layer.fan_in, count);
    group.scores<NV>(layer, first, count);
    for (int64_t m = 0; m < count; m++) {
        for (int v = 0; v < NV; v++) z[v] = load(group.g.p + (m * NV + v) * W);
        f(first + m, z);
    }
}

// Labels of the group that begins at `first`, in a range that ends before `last`.
inline int64_t size_of_group(const Layer &layer, int64_t first, int64_t last) {
    return first + layer.group < last ? layer.group : last - first;
}

// The same for all groups of labels [first, last).
template <int NV, class F>
inline __attribute__((always_inline)) void each_score_of_groups(const Layer &layer, const float *x, int64_t first, int64_t last, Group &group,
                                                                float *row, F &&f) {
    for (int64_t at = first; at < last; at += layer.group) {
        const int64_t count = size_of_group(layer, at, last);
        each_score_of_group<NV>(layer, weights_of(layer, at, row, count), x, at, count, group, f);
    }
}

// The same for labels with rows of their own.
template <int NV, class Index, class F>
inline __attribute__((always_inline)) void each_score_of_labels(const Layer &layer, const Index *index, Floats x, int64_t first,
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
inline __attribute__((always_inline)) void each_score(const Layer &layer, Floats x, int64_t first, int64_t last, Group &group, float *row,
                       F &&f) {
    by_layer<NV>(
        layer, [&]() { each_score_of_groups<NV>(layer, x.p, first, last, group, row, f); },
        [&](const auto *index) { each_score_of_labels<NV>(layer, index, x, first, last, row, f); });
}

}  // namespace
