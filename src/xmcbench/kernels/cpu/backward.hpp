// Gradients of weights and features, from a whole array of score gradients.
#pragma once

#include "work.hpp"
#include "rows.hpp"

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

template <int NV, class Index>
void backward_tile(const Layer &layer, const float *grad_z_LB, int64_t lane, int64_t batch, const float *x, float *gx, int64_t first,
                   int64_t last, Work &work, bool *live, float *grad_weight_LK, float *grad_bias_L) {
    const int64_t stride = up(layer.fan_in, W);
    Group &group = work.group;
    for (int64_t at = first; at < last; at += layer.group) {
        const int64_t count = at + layer.group < last ? layer.group : last - at;
        const Index *inputs = static_cast<const Index *>(layer.index) + at / layer.group * layer.fan_in;
        if (layer.group > 1) {
            group.gather<NV>(x, inputs, layer.fan_in);
            group.weights(layer, at, count);
        }
        for (int64_t m = 0; m < count; m++) {
            vec g[NV], total = {};
            load_tile<NV>(grad_z_LB + (at + m) * batch + lane, batch - lane, g);
            for (int v = 0; v < NV; v++) total += g[v];
            grad_bias_L[at + m] = (lane ? grad_bias_L[at + m] : 0.0f) + sum(total);
            if (layer.group == 1) {
                if constexpr (NV <= NARROW_TILE) spread<NV, NV>(x, gx, weights_of(layer, at, work.row.p), inputs, layer.fan_in, g, true, work.gw.p);
            } else {
                for (int v = 0; v < NV; v++) store(group.g.p + (m * NV + v) * W, g[v]);
                group.label[m] = m;
                live[m] = false;
            }
        }
        if (layer.group > 1) group.spread<NV>(gx, inputs, layer.fan_in, count, work.gw.p, stride, live);
        for (int64_t m = 0; m < count; m++) {
            float *to = grad_weight_LK + (at + m) * layer.fan_in;
            for (int64_t j = 0; j < layer.fan_in; j++) to[j] = (lane ? to[j] : 0.0f) + work.gw.p[m * stride + j];
        }
    }
}

template <class Index>
void backward_partition(const Layer &layer, const Tiles &tiles, const float *grad_z_LB, const float *x, float *gx, float *grad_weight_LK,
                        float *grad_bias_L, int64_t first, int64_t last, Work &work, bool *live) {
    for (int64_t t = 0; t < tiles.count; t++) {
        const int64_t offset = tiles.at(t, layer.features), lane = tiles.first(t) * W;
#define CALL(NV)                                                                                                     \
    backward_tile<NV, Index>(layer, grad_z_LB, lane, tiles.batch, x + offset, gx + offset, first, last, work,                     \
                             live, grad_weight_LK, grad_bias_L)
        FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
    }
}

void backward(const Layer &layer, const float *x_DB, const float *grad_z_LB, int64_t batch, float *grad_x_DB,
              float *grad_weight_LK, float *grad_bias_L, int threads) {
    const Tiles tiles(batch, layer.group);
    const int count = partitions(layer.labels);
    const int64_t size = layer.features * tiles.lanes();
    expect_large(grad_weight_LK, layer.labels * layer.fan_in * 4);
    Buffer x(size), gx(size * count);
    pack(tiles, x_DB, layer.features, x.p);
#pragma omp parallel num_threads(threads_for(count, threads))
    {
        Work work(layer.group * up(layer.fan_in, W), layer);
        Buffer live_(layer.group);
        bool *live = reinterpret_cast<bool *>(live_.p);
#pragma omp for schedule(dynamic, 1)
        for (int p = 0; p < count; p++) {
            float *own = gx.p + p * size;
            std::memset(own, 0, size * 4);
            const int64_t first = bound(layer, p, count), last = bound(layer, p + 1, count);
            if (layer.wide)
                backward_partition<int32_t>(layer, tiles, grad_z_LB, x.p, own, grad_weight_LK, grad_bias_L, first, last, work, live);
            else
                backward_partition<uint16_t>(layer, tiles, grad_z_LB, x.p, own, grad_weight_LK, grad_bias_L, first, last, work, live);
        }
    }
    unpack(tiles, gx.p, count, layer.features, grad_x_DB, threads);
}

}  // namespace
