// The fused step: score, loss gradient, gradients of weights and features, update, a label at a time.
#pragma once

#include <type_traits>

#include "loss.hpp"
#include "scores.hpp"
#include "update.hpp"

namespace {

using namespace xmc;

// A thread's buffers for one chunk of labels after another.
struct ChunkWork : Work {
    int64_t stride, size;  // floats from one label's weight gradient to the next; labels of a chunk
    Buffer from, live, bias;
    ChunkWork(const Layer &layer, const Tiles &tiles) : ChunkWork(layer, up(layer.fan_in, W), labels_of(layer, tiles)) {}

   private:
    ChunkWork(const Layer &layer, int64_t row, int64_t labels)
        : Work(labels * row, layer, labels), stride(row), size(labels), from(2 * (labels + 1)), live(labels), bias(labels) {}
    static int64_t labels_of(const Layer &layer, const Tiles &tiles) {
        const int64_t connections = layer.group > 1 ? GROUP_CHUNK : CHUNK;
        const int64_t wanted = (tiles.count == 1 ? 8 : connections / up(layer.fan_in, W)) / layer.group * layer.group;
        return wanted < layer.group ? layer.group : wanted;
    }
};

struct Chunk {
    int64_t first, last;
    float *weights;  // as float32, a row of K a label
    const int64_t *from;  // where each label's positives begin (and the last one's end)
    bool *live;
    float *g_bias;
};

template <int NV, Loss LOSS, bool MASKED, class X, class Index>
void chunk_tile(const Layer &layer, const Index *index, const Step &step, const Chunk &chunk, const Positives &positives, const float *mask,
                X x, float *gx, int64_t lane, int64_t batch, int64_t stride, Work &work) {
    const int64_t real = batch - lane < NV * W ? batch - lane : NV * W;
    for (int64_t label = chunk.first; label < chunk.last; label++) {
        const int64_t i = label - chunk.first;
        const Index *inputs = index + label * layer.fan_in;
        const float *w = chunk.weights + i * layer.fan_in;
        vec z[NV], g[NV], total = {};
        scores<NV>(x, w, inputs, layer.fan_in, layer.bias[label], z);
        const int64_t *rows = positives.row + chunk.from[i];
        work.zeros += real;
        const unsigned live = loss_gradient<NV, LOSS, MASKED>(step, step.label_weight ? step.label_weight[label] : 1.0f, z, mask, rows,
                                            chunk.from[i + 1] - chunk.from[i], lane, 1.0f / (float)batch, work, g, total);
        if (!live) continue;
        if (LOSS == Loss::squared_hinge && 2 * __builtin_popcount(live) <= NV) {
            // Few documents are not easy negatives: work on their vectors alone.
            bool begun = chunk.live[i];
            for (int v = 0; v < NV; v++) {
                if (!(live >> v & 1)) continue;
                spread<1, NV>(x.alone(v), gx + v * W, w, inputs, layer.fan_in, g + v, !begun, work.gw.p + i * stride);
                begun = true;
            }
        } else
            spread<NV, NV>(x, gx, w, inputs, layer.fan_in, g, !chunk.live[i], work.gw.p + i * stride);
        chunk.g_bias[i] += sum(total);
        chunk.live[i] = true;
    }
}

// The same for groups: labels whose gradients are all zero drop out of the products.
template <int NV, Loss LOSS, bool MASKED>
void chunk_tile_of_groups(const Layer &layer, const Step &step, const Chunk &chunk, const Positives &positives,
                          const float *mask, Floats x, float *gx, int64_t lane, int64_t batch, int64_t stride, Work &work) {
    const int64_t real = batch - lane < NV * W ? batch - lane : NV * W;
    Group &group = work.group;
    for (int64_t at = chunk.first; at < chunk.last; at += layer.group) {
        int64_t count = 0;
        each_score_of_group<NV>(layer, chunk.weights + (at - chunk.first) * layer.fan_in, x.p, at, size_of_group(layer, at, chunk.last), group,
                   [&](int64_t label, const vec *z) {
                       const int64_t i = label - chunk.first;
                       vec g[NV], total = {};
                       work.zeros += real;
                       const unsigned live = loss_gradient<NV, LOSS, MASKED>(
                           step, step.label_weight ? step.label_weight[label] : 1.0f, z, mask, positives.row + chunk.from[i],
                           chunk.from[i + 1] - chunk.from[i], lane, 1.0f / (float)batch, work, g, total);
                       if (!live) return;
                       for (int v = 0; v < NV; v++) store(group.g.p + (count * NV + v) * W, g[v]);
                       group.w[count] = group.w[label - at];
                       group.label[count++] = i;
                       chunk.g_bias[i] += sum(total);
                   });
        if (!count) continue;
        group.spread<NV>(gx, layer.fan_in, count, work.gw.p, stride, chunk.live);
        for (int64_t n = 0; n < count; n++) chunk.live[group.label[n]] = true;
    }
}

// One tile of a chunk, by the way of its layer; MASKED where not every lane is a document.
template <int NV, Loss LOSS, bool MASKED, class X>
inline void tile(const Layer &layer, const Step &step, const Chunk &chunk, const Positives &positives, const float *mask, X x, float *gx,
                 int64_t lane, int64_t batch, int64_t stride, Work &work) {
    by_layer<NV>(
        layer,
        [&]() {
            if constexpr (std::is_same_v<X, Floats>)  // groups copy the rows that they read, as float32
                chunk_tile_of_groups<NV, LOSS, MASKED>(layer, step, chunk, positives, mask, x, gx, lane, batch, stride, work);
        },
        [&](const auto *index) {
            chunk_tile<NV, LOSS, MASKED>(layer, index, step, chunk, positives, mask, x, gx, lane, batch, stride, work);
        });
}

template <class X>
void train_partition(const Layer &layer, const Step &step, const Update &update, const Positives &positives,
                     const Tiles &tiles, const float *mask, const Packed<X> &x, float *gx, int64_t first, int64_t last,
                     ChunkWork &work, StepResult &result) {
    const int64_t stride = work.stride, size = work.size;
    int64_t *from = reinterpret_cast<int64_t *>(work.from.p);
    bool *live = reinterpret_cast<bool *>(work.live.p);
    work.begin();
    int64_t p = 0;
    for (int64_t n = positives.pairs; n > 0;) {  // lower bound of `first`
        const int64_t half = n / 2;
        if (positives.label[p + half] < first) p += half + 1, n -= half + 1;
        else n = half;
    }
    for (int64_t at = first; at < last; at += size) {
        const int64_t end = at + size < last ? at + size : last, n = end - at;
        const Chunk chunk{at, end, weights_of(layer, at, work.rows.p, n), from, live, work.bias.p};
        for (int64_t i = 0; i < n; i++) {
            from[i] = p;
            while (p < positives.pairs && positives.label[p] == at + i) p++;
            live[i] = false;
            chunk.g_bias[i] = 0;
        }
        from[n] = p;
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t lane = tiles.first(t) * W;
            float *gxt = gx + tiles.at(t, layer.features);
            const bool full = lane + tiles.width(t) * W <= tiles.batch;
#define TILE_OF(NV, LOSS, MASKED)                                                                                        \
    tile<NV, LOSS, MASKED>(layer, step, chunk, positives, mask + lane, x.tile(t), gxt, lane, tiles.batch, stride, work)
#define TILE_FOR(NV, LOSS) full ? TILE_OF(NV, LOSS, false) : TILE_OF(NV, LOSS, true)
#define CALL(NV)                            \
    if (step.loss == Loss::squared_hinge)   \
        TILE_FOR(NV, Loss::squared_hinge);  \
    else                                    \
        TILE_FOR(NV, Loss::bce)
            FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
#undef TILE_FOR
#undef TILE_OF
        }
        work.flush();
        for (int64_t i = 0; i < n; i++) {
            update_label(layer, update, at + i, chunk.weights + i * layer.fan_in, live[i] ? work.gw.p + i * stride : nullptr,
                         chunk.g_bias[i], work);
            work.skipped += !live[i];
        }
    }
    result = {work.total_loss(), work.zeros, work.skipped, work.bad};
}

template <class X>
StepResult train_step_on(const Layer &layer, const Features &features, int64_t batch, const Positives &positives, const Step &step,
                         const Update &update, float *grad_x_DB, int threads) {
    const Tiles tiles(batch, layer.group);
    const Packed<X> x(tiles, features, layer.features);
    if (!x.finite()) return {0, 0, 0, BAD_FEATURES};
    Buffer mask(tiles.lanes());
    for (int64_t b = 0; b < tiles.lanes(); b++) {
        const int32_t real = b < batch ? -1 : 0;
        std::memcpy(mask.p + b, &real, 4);
    }
    StepResult results[MAX_PARTITIONS];
    over_partitions(
        layer, tiles, grad_x_DB, threads, [&]() { return ChunkWork(layer, tiles); },
        [&](int p, float *gx, int64_t first, int64_t last, ChunkWork &work) {
            train_partition(layer, step, update, positives, tiles, mask.p, x, gx, first, last, work, results[p]);
        });
    StepResult sum{0, 0, 0, -1};
    for (int p = 0; p < partitions(layer.labels); p++) {
        sum.loss += results[p].loss;
        sum.zeros += results[p].zeros;
        sum.skipped += results[p].skipped;
        if (sum.bad_label < 0) sum.bad_label = results[p].bad_label;
    }
    sum.loss /= (double)batch;
    return sum;
}

StepResult train_step(const Layer &layer, const Features &x, int64_t batch, const Positives &positives, const Step &step,
                      const Update &update, float *grad_x_DB, int threads) {
    return (x.bf16 ? train_step_on<Twins> : train_step_on<Floats>)(layer, x, batch, positives, step, update, grad_x_DB, threads);
}

}  // namespace
