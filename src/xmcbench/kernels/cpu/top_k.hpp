// The best labels of every document, exactly, from a stream of scores.
#pragma once

#include "scores.hpp"
#include "work.hpp"

namespace {

using namespace xmc;

// Keeps the k best of a stream whose labels rise: a later label enters only if it is strictly better.
inline __attribute__((always_inline)) void enter(float *score, int64_t *label, int64_t k, float s, int64_t l) {
    int64_t i = k - 1;
    for (; i > 0 && score[i - 1] < s; i--) score[i] = score[i - 1], label[i] = label[i - 1];
    score[i] = s;
    label[i] = l;
}

template <int NV>
void best_of_tile(const Layer &layer, Floats x, int64_t first, int64_t last, int64_t real, int64_t k,
                  float *score, int64_t *best, Work &work) {
    vec bar[NV];  // the k-th best score so far of each document; +∞ for lanes that are none
    for (int v = 0; v < NV; v++)
        for (int b = 0; b < W; b++) bar[v][b] = v * W + b < real ? -INFINITY : INFINITY;
    each_score<NV>(layer, x, first, last, work.group, work.rows.p, [&](int64_t label, const vec *z) {
        veci any = {};
        for (int v = 0; v < NV; v++) any |= (veci)(z[v] > bar[v]);
        bool some = false;
        for (int b = 0; b < W; b++) some |= any[b] != 0;
        if (!some) return;
        for (int v = 0; v < NV; v++)
            for (int b = 0; b < W; b++)
                if (z[v][b] > bar[v][b]) {
                    const int64_t document = v * W + b;
                    enter(score + document * k, best + document * k, k, z[v][b], label);
                    bar[v][b] = score[document * k + k - 1];
                }
    });
}

void top_k(const Layer &layer, const float *x_DB, int64_t batch, int64_t k, float *score_Bk, int64_t *label_Bk,
           int threads) {
    const Tiles tiles(batch, layer.group);
    const int count = partitions(layer.labels);
    const Packed<Floats> x(tiles, x_DB, layer.features);
    Buffer score(count * tiles.lanes() * k), label_(2 * count * tiles.lanes() * k);
    int64_t *label = reinterpret_cast<int64_t *>(label_.p);
    for (int64_t i = 0; i < count * tiles.lanes() * k; i++) score.p[i] = -INFINITY, label[i] = -1;
#pragma omp parallel num_threads(threads_for(count, threads))
    {
        Work work(0, layer, layer.group);
#pragma omp for schedule(dynamic, 1)
        for (int p = 0; p < count; p++) {
            const int64_t first = bound(layer, p, count), last = bound(layer, p + 1, count);
            for (int64_t t = 0; t < tiles.count; t++) {
                const int64_t lane = tiles.first(t) * W, at = (p * tiles.lanes() + lane) * k;
                const int64_t real = tiles.batch - lane;
                const Floats xt = x.tile(t);
#define CALL(NV) best_of_tile<NV>(layer, xt, first, last, real, k, score.p + at, label + at, work)
                FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
            }
        }
    }
    for (int64_t b = 0; b < batch; b++) {
        float *to = score_Bk + b * k;
        int64_t *labels = label_Bk + b * k;
        for (int64_t i = 0; i < k; i++) to[i] = -INFINITY, labels[i] = -1;
        for (int p = 0; p < count; p++)
            for (int64_t i = 0; i < k; i++) {
                const int64_t at = (p * tiles.lanes() + b) * k + i;
                if (score.p[at] > to[k - 1]) enter(to, labels, k, score.p[at], label[at]);
            }
    }
}

}  // namespace
