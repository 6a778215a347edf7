// Gradients of weights and features, from a whole array of score gradients.
#pragma once

#include "scores.hpp"
#include "work.hpp"

namespace {

using namespace xmc;

template <int NV>
inline __attribute__((always_inline)) void load_tile(const float *from, int64_t real, vec *g) {
    for (int v = 0; v < NV; v++) {
        g[v] = vec{};
        if ((v + 1) * W <= real)
            g[v] = load(from + v * W);
        else
            for (int64_t b = 0; v * W + b < real; b++) g[v][b] = from[v * W + b];
    }
}

// What a partition is given and fills.
struct Gradients {
    const float *grad_z_LB;
    float *grad_weight_LK, *grad_bias_L;
    int64_t batch;
};

// Score gradients of one label and one tile; their sum is the bias's.
template <int NV>
inline __attribute__((always_inline)) void load_label(const Gradients &to, int64_t label, int64_t lane, vec *g) {
    vec total = {};
    load_tile<NV>(to.grad_z_LB + label * to.batch + lane, to.batch - lane, g);
    for (int v = 0; v < NV; v++) total += g[v];
    to.grad_bias_L[label] = (lane ? to.grad_bias_L[label] : 0.0f) + sum(total);
}

inline void add_row(const Gradients &to, int64_t label, int64_t lane, int64_t fan_in, const float *gw) {
    float *row = to.grad_weight_LK + label * fan_in;
    for (int64_t j = 0; j < fan_in; j++) row[j] = (lane ? row[j] : 0.0f) + gw[j];
}

template <int NV, class Index>
void backward_of_labels(const Layer &layer, const Index *index, const Gradients &to, int64_t lane, Floats x, float *gx,
                        int64_t first, int64_t last, Work &work) {
    for (int64_t label = first; label < last; label++) {
        const Index *inputs = index + label * layer.fan_in;
        vec g[NV];
        load_label<NV>(to, label, lane, g);
        spread<NV, NV>(x, gx, weights_of(layer, label, work.rows.p), inputs, layer.fan_in, g, true, work.gw.p);
        add_row(to, label, lane, layer.fan_in, work.gw.p);
    }
}

template <int NV>
void backward_of_groups(const Layer &layer, const Gradients &to, int64_t lane, const float *x, float *gx, int64_t first, int64_t last,
                        Work &work, bool *live) {
    const int64_t stride = up(layer.fan_in, W);
    Group &group = work.group;
    for (int64_t at = first; at < last; at += layer.group) {
        const int64_t count = size_of_group(layer, at, last);
        group.gather<NV>(x, layer, at);
        group.weights(weights_of(layer, at, work.rows.p, count), layer.fan_in, count);
        for (int64_t m = 0; m < count; m++) {
            vec g[NV];
            load_label<NV>(to, at + m, lane, g);
            for (int v = 0; v < NV; v++) store(group.g.p + (m * NV + v) * W, g[v]);
            group.label[m] = m;
            live[m] = false;
        }
        group.spread<NV>(gx, layer.fan_in, count, work.gw.p, stride, live);
        for (int64_t m = 0; m < count; m++) add_row(to, at + m, lane, layer.fan_in, work.gw.p + m * stride);
    }
}

struct BackwardWork : Work {
    Buffer live;
    explicit BackwardWork(const Layer &layer) : Work(layer.group * up(layer.fan_in, W), layer, layer.group), live(layer.group) {}
};

template <int NV>
inline void backward_tile(const Layer &layer, const Gradients &to, int64_t lane, Floats x, float *gx, int64_t first, int64_t last,
                          BackwardWork &work) {
    by_layer<NV>(
        layer, [&]() { backward_of_groups<NV>(layer, to, lane, x.p, gx, first, last, work, reinterpret_cast<bool *>(work.live.p)); },
        [&](const auto *index) { backward_of_labels<NV>(layer, index, to, lane, x, gx, first, last, work); });
}

void backward(const Layer &layer, const float *x_DB, const float *grad_z_LB, int64_t batch, float *grad_x_DB,
              float *grad_weight_LK, float *grad_bias_L, int threads) {
    const Tiles tiles(batch, layer.group);
    expect_large(grad_weight_LK, layer.labels * layer.fan_in * 4);
    const Gradients to{grad_z_LB, grad_weight_LK, grad_bias_L, batch};
    const Packed<Floats> x(tiles, x_DB, layer.features);
    over_partitions(
        layer, tiles, grad_x_DB, threads, [&]() { return BackwardWork(layer); },
        [&](int, float *gx, int64_t first, int64_t last, BackwardWork &work) {
            for (int64_t t = 0; t < tiles.count; t++) {
                const int64_t lane = tiles.first(t) * W;
                float *gxt = gx + tiles.at(t, layer.features);
#define CALL(NV) backward_tile<NV>(layer, to, lane, x.tile(t), gxt, first, last, work)
                FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
            }
        });
}

}  // namespace
