// Scores of all labels, as one array.
#pragma once

#include "scores.hpp"
#include "work.hpp"

namespace {

using namespace xmc;

void forward_block(const Layer &layer, const Tiles &tiles, const Packed<Floats> &x, int64_t first, int64_t last, Work &work,
                   bool past, float *z_LB) {
    for (int64_t t = 0; t < tiles.count; t++) {
        const Floats xt = x.tile(t);
        const int64_t lane = tiles.first(t) * W;
#define CALL(NV)                                                                                          \
    each_score<NV>(layer, xt, first, last, work.group, work.rows.p, [&](int64_t label, const vec *z) {    \
        float *to = z_LB + label * tiles.batch + lane;                                                    \
        if (past)                                                                                         \
            for (int v = 0; v < NV; v++) store_past(to + v * W, z[v]);                                    \
        else if (lane + NV * W <= tiles.batch)                                                            \
            for (int v = 0; v < NV; v++) store(to + v * W, z[v]);                                         \
        else                                                                                              \
            for (int64_t b = 0; lane + b < tiles.batch; b++) to[b] = z[b / W][b % W];                     \
    })
        FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
    }
}

void forward(const Layer &layer, const float *x_DB, int64_t batch, float *z_LB, int threads) {
    const Tiles tiles(batch, layer.group);
    expect_large(z_LB, layer.labels * batch * 4);
    const Packed<Floats> x(tiles, x_DB, layer.features);
    // Scores larger than a cache are not read before they are written: half of the traffic.
    const bool past = layer.labels * batch > 4 << 20 && batch % W == 0 && reinterpret_cast<uintptr_t>(z_LB) % (4 * W) == 0;
    const int64_t size = up(512, layer.group), blocks = up(layer.labels, size) / size;
#pragma omp parallel num_threads(threads)
    {
        Work work(0, layer, layer.group);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < blocks; n++) {
            const int64_t last = (n + 1) * size < layer.labels ? (n + 1) * size : layer.labels;
            forward_block(layer, tiles, x, n * size, last, work, past, z_LB);
        }
    }
}

}  // namespace
