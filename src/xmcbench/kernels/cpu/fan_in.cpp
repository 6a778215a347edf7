// The fixed fan-in kernels for one instruction set (compiled once for each, see CMakeLists.txt).
//
// Per label: z = b + Σ_j w_j·x[i_j] → g = ∂loss/∂z → gw_j = Σ_b g·x[i_j], gx[i_j] += w_j·g → w_j updated in place. The
// scores of one label and one tile of documents live in registers; nothing of size B×L exists.
//
// Arithmetic. A tile is eight vectors of documents (64 with AVX2, 128 with AVX-512). With D = 768 and 64 documents a tile
// of x and one of gx are 196 KB each and live in L2. A connection of 64 documents does 192 multiply-adds, 12 of the widest
// instructions: 12 cycles on a core that starts one a cycle. It moves 4 cache lines of x from L2 (the second use hits L1
// while a label's rows fit there: K ≤ 64), 4 of gx from L2 and 4 back, and writes gx: 4 stores of two cycles each. Measured
// alone on such a core (Zen 4, 3.3 GHz): reading a row from L2 2.5 ns, reading and writing one 3.3 ns, both with the products
// 6.4 ns, against 3.7 ns of multiply-adds: 0.57 of peak is the limit of this way, less the loss (1.0 ns a connection at
// K = 32, its exponentials and one division) and the update. So what is left to do is to keep everything else in registers:
// no lane sum goes to memory, a label's sigmoids share one division, and the backward pass begins with the rows read last.
// Grouping a block's connections by input instead would spare the writes of gx, but sorting them costs as much.
// A core with two such multiply-add units (a Xeon with AVX-512: 164 GFLOP/s a thread in matrix products, against 102) moves
// lines no faster: the step takes the same time there (results/reference/kernels.csv), and so half the share of its peak.
// Other documents follow tile by tile, a chunk of labels at a time, so that one tile's x and gx stay in L2.
//
// Reproducibility. Labels are cut into partitions by their number alone; each has its own sum of gx, and these are
// added in order. Threads only choose who computes a partition.
#include "group.hpp"
#include "loss.hpp"
#include "rows.hpp"
#include "update.hpp"

namespace {

using namespace xmc;

// Call f(label, its NV vectors of scores) for labels [first, last); `first` begins a group.
template <int NV, class Index, class F>
inline __attribute__((always_inline)) void each_score(const Layer &layer, const float *x, int64_t first, int64_t last, Group &group, float *row,
                       F &&f) {
    const Index *index = static_cast<const Index *>(layer.index);
    vec z[NV];
    if (layer.group == 1) {
        for (int64_t label = first; label < last; label++) {
            const float *w = weights_of(layer, label, row);
            scores<NV>(x, w, index + label * layer.fan_in, layer.fan_in, layer.bias[label], z);
            f(label, z);
        }
        return;
    }
    for (int64_t at = first; at < last; at += layer.group) {
        const int64_t count = at + layer.group < last ? layer.group : last - at;
        group.gather<NV>(x, index + at / layer.group * layer.fan_in, layer.fan_in);
        group.weights(layer, at, count);
        group.scores<NV>(layer, at, count);
        for (int64_t m = 0; m < count; m++) {
            for (int v = 0; v < NV; v++) z[v] = load(group.g.p + (m * NV + v) * W);
            f(at + m, z);
        }
    }
}

// The first label of partition p of `count`: always the first of a group.
inline int64_t bound(const Layer &layer, int64_t p, int64_t count) {
    const int64_t groups = up(layer.labels, layer.group) / layer.group, at = groups * p / count * layer.group;
    return at < layer.labels ? at : layer.labels;
}

struct Chunk {
    int64_t first, last;
    const int64_t *from;  // where each label's positives begin (and the last one's end)
    bool *live;
    float *g_bias;
};

template <int NV, Loss LOSS, bool MASKED, class Index>
void chunk_tile(const Layer &layer, const Step &step, const Chunk &chunk, const Positives &positives, const float *mask,
                const float *x, float *gx, int64_t lane, int64_t batch, int64_t stride, Work &work) {
    const Index *index = static_cast<const Index *>(layer.index);
    const int64_t real = batch - lane < NV * W ? batch - lane : NV * W;
    for (int64_t label = chunk.first; label < chunk.last; label++) {
        const int64_t i = label - chunk.first;
        const Index *inputs = index + label * layer.fan_in;
        const float *w = weights_of(layer, label, work.row.p);
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
                spread<1, NV>(x + v * W, gx + v * W, w, inputs, layer.fan_in, g + v, !begun, work.gw.p + i * stride);
                begun = true;
            }
        } else
            spread<NV, NV>(x, gx, w, inputs, layer.fan_in, g, !chunk.live[i], work.gw.p + i * stride);
        chunk.g_bias[i] += sum(total);
        chunk.live[i] = true;
    }
}

// The same for groups: labels whose gradients are all zero drop out of the products.
template <int NV, Loss LOSS, bool MASKED, class Index>
void chunk_tile_of_groups(const Layer &layer, const Step &step, const Chunk &chunk, const Positives &positives,
                          const float *mask, const float *x, float *gx, int64_t lane, int64_t batch, int64_t stride, Work &work) {
    const int64_t real = batch - lane < NV * W ? batch - lane : NV * W;
    Group &group = work.group;
    for (int64_t at = chunk.first; at < chunk.last; at += layer.group) {
        const Index *inputs = static_cast<const Index *>(layer.index) + at / layer.group * layer.fan_in;
        int64_t count = 0;
        each_score<NV, Index>(layer, x, at, at + layer.group < chunk.last ? at + layer.group : chunk.last, group, nullptr,
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
        group.spread<NV>(gx, inputs, layer.fan_in, count, work.gw.p, stride, chunk.live);
        for (int64_t n = 0; n < count; n++) chunk.live[group.label[n]] = true;
    }
}

template <class Index>
void train_partition(const Layer &layer, const Step &step, const Update &update, const Positives &positives,
                     const Tiles &tiles, const float *mask, const float *x, float *gx, int64_t first, int64_t last, StepResult &result) {
    const int64_t stride = up(layer.fan_in, W);
    const int64_t wanted = (tiles.count == 1 ? 8 : CHUNK / stride) / layer.group * layer.group;
    const int64_t size = wanted < layer.group ? layer.group : wanted;
    Work work(size * stride, layer);
    Buffer from_(2 * (size + 1)), live_(size), bias_(size);
    int64_t *from = reinterpret_cast<int64_t *>(from_.p);
    bool *live = reinterpret_cast<bool *>(live_.p);
    int64_t p = 0;
    for (int64_t n = positives.pairs; n > 0;) {  // lower bound of `first`
        const int64_t half = n / 2;
        if (positives.label[p + half] < first) p += half + 1, n -= half + 1;
        else n = half;
    }
    for (int64_t at = first; at < last; at += size) {
        const Chunk chunk{at, at + size < last ? at + size : last, from, live, bias_.p};
        const int64_t n = chunk.last - at;
        for (int64_t i = 0; i < n; i++) {
            from[i] = p;
            while (p < positives.pairs && positives.label[p] == at + i) p++;
            live[i] = false;
            chunk.g_bias[i] = 0;
        }
        from[n] = p;
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t offset = tiles.at(t, layer.features), lane = tiles.first(t) * W;
            const bool full = lane + tiles.width(t) * W <= tiles.batch;
#define TILE_OF(NV, LOSS)                                                                                            \
    (layer.group > 1 ? (full ? chunk_tile_of_groups<NV, LOSS, false, Index> : chunk_tile_of_groups<NV, LOSS, true, Index>) \
                     : (full ? chunk_tile<NV, LOSS, false, Index> : chunk_tile<NV, LOSS, true, Index>))(             \
        layer, step, chunk, positives, mask + lane, x + offset, gx + offset, lane, tiles.batch, stride, work)
#define CALL(NV)                            \
    if (step.loss == Loss::squared_hinge)   \
        TILE_OF(NV, Loss::squared_hinge);   \
    else                                    \
        TILE_OF(NV, Loss::bce)
            FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
        }
        work.flush();
        for (int64_t i = 0; i < n; i++) {
            update_label(layer, update, at + i, live[i] ? work.gw.p + i * stride : nullptr, chunk.g_bias[i], work);
            work.skipped += !live[i];
        }
    }
    for (int b = 0; b < W; b++)
        work.loss += std::log((double)work.logs.product[b]) + 0.69314718055994530942 * work.logs.exponent[b];
    result = {work.loss, work.zeros, work.skipped, work.bad};
}

StepResult train_step(const Layer &layer, const float *x_DB, int64_t batch, const Positives &positives,
                      const Step &step, const Update &update, float *grad_x_DB, int threads) {
    const Tiles tiles(batch);
    const int count = partitions(layer.labels);
    const int64_t size = layer.features * tiles.lanes();
    Buffer x(size), gx(size * count), mask(tiles.lanes());
    pack(tiles, x_DB, layer.features, x.p);
    for (int64_t b = 0; b < tiles.lanes(); b++) {
        const int32_t real = b < batch ? -1 : 0;
        std::memcpy(mask.p + b, &real, 4);
    }
    StepResult results[MAX_PARTITIONS];
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        float *own = gx.p + p * size;
        std::memset(own, 0, size * 4);
        const int64_t first = bound(layer, p, count), last = bound(layer, p + 1, count);
        if (layer.wide)
            train_partition<int32_t>(layer, step, update, positives, tiles, mask.p, x.p, own, first, last, results[p]);
        else
            train_partition<uint16_t>(layer, step, update, positives, tiles, mask.p, x.p, own, first, last, results[p]);
    }
    unpack(tiles, gx.p, count, layer.features, grad_x_DB, threads);
    StepResult sum{0, 0, 0, -1};
    for (int p = 0; p < count; p++) {
        sum.loss += results[p].loss;
        sum.zeros += results[p].zeros;
        sum.skipped += results[p].skipped;
        if (sum.bad_label < 0) sum.bad_label = results[p].bad_label;
    }
    sum.loss /= (double)batch;
    return sum;
}

template <class Index>
void forward_block(const Layer &layer, const Tiles &tiles, const float *x, int64_t first, int64_t last, Work &work,
                   bool past, float *z_LB) {
    for (int64_t t = 0; t < tiles.count; t++) {
        const float *xt = x + tiles.at(t, layer.features);
        const int64_t lane = tiles.first(t) * W;
#define CALL(NV)                                                                                          \
    each_score<NV, Index>(layer, xt, first, last, work.group, work.row.p, [&](int64_t label, const vec *z) {  \
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
    const Tiles tiles(batch);
    expect_large(z_LB, layer.labels * batch * 4);
    Buffer x(layer.features * tiles.lanes());
    pack(tiles, x_DB, layer.features, x.p);
    // Scores larger than a cache are not read before they are written: half of the traffic.
    const bool past = layer.labels * batch > 4 << 20 && batch % W == 0 && reinterpret_cast<uintptr_t>(z_LB) % (4 * W) == 0;
    const int64_t size = up(512, layer.group), blocks = up(layer.labels, size) / size;
#pragma omp parallel num_threads(threads)
    {
        Work work(0, layer);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < blocks; n++) {
            const int64_t last = (n + 1) * size < layer.labels ? (n + 1) * size : layer.labels;
            if (layer.wide)
                forward_block<int32_t>(layer, tiles, x.p, n * size, last, work, past, z_LB);
            else
                forward_block<uint16_t>(layer, tiles, x.p, n * size, last, work, past, z_LB);
        }
    }
}

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
                spread<NV, NV>(x, gx, weights_of(layer, at, work.row.p), inputs, layer.fan_in, g, true, work.gw.p);
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
                        float *grad_bias_L, int64_t first, int64_t last) {
    Work work(layer.group * up(layer.fan_in, W), layer);
    Buffer live(layer.group);
    for (int64_t t = 0; t < tiles.count; t++) {
        const int64_t offset = tiles.at(t, layer.features), lane = tiles.first(t) * W;
#define CALL(NV)                                                                                                     \
    backward_tile<NV, Index>(layer, grad_z_LB, lane, tiles.batch, x + offset, gx + offset, first, last, work,                     \
                             reinterpret_cast<bool *>(live.p), grad_weight_LK, grad_bias_L)
        FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
    }
}

void backward(const Layer &layer, const float *x_DB, const float *grad_z_LB, int64_t batch, float *grad_x_DB,
              float *grad_weight_LK, float *grad_bias_L, int threads) {
    const Tiles tiles(batch);
    const int count = partitions(layer.labels);
    const int64_t size = layer.features * tiles.lanes();
    expect_large(grad_weight_LK, layer.labels * layer.fan_in * 4);
    Buffer x(size), gx(size * count);
    pack(tiles, x_DB, layer.features, x.p);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        float *own = gx.p + p * size;
        std::memset(own, 0, size * 4);
        const int64_t first = bound(layer, p, count), last = bound(layer, p + 1, count);
        if (layer.wide)
            backward_partition<int32_t>(layer, tiles, grad_z_LB, x.p, own, grad_weight_LK, grad_bias_L, first, last);
        else
            backward_partition<uint16_t>(layer, tiles, grad_z_LB, x.p, own, grad_weight_LK, grad_bias_L, first, last);
    }
    unpack(tiles, gx.p, count, layer.features, grad_x_DB, threads);
}

// Keeps the k best of a stream whose labels rise: a later label enters only if it is strictly better.
inline __attribute__((always_inline)) void enter(float *score, int64_t *label, int64_t k, float s, int64_t l) {
    int64_t i = k - 1;
    for (; i > 0 && score[i - 1] < s; i--) score[i] = score[i - 1], label[i] = label[i - 1];
    score[i] = s;
    label[i] = l;
}

template <int NV, class Index>
void best_of_tile(const Layer &layer, const float *x, int64_t first, int64_t last, int64_t real, int64_t k,
                  float *score, int64_t *best, Work &work) {
    vec bar[NV];  // the k-th best score so far of each document; +∞ for lanes that are none
    for (int v = 0; v < NV; v++)
        for (int b = 0; b < W; b++) bar[v][b] = v * W + b < real ? -INFINITY : INFINITY;
    each_score<NV, Index>(layer, x, first, last, work.group, work.row.p, [&](int64_t label, const vec *z) {
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
    const Tiles tiles(batch);
    const int count = partitions(layer.labels);
    Buffer x(layer.features * tiles.lanes()), score(count * tiles.lanes() * k), label_(2 * count * tiles.lanes() * k);
    int64_t *label = reinterpret_cast<int64_t *>(label_.p);
    for (int64_t i = 0; i < count * tiles.lanes() * k; i++) score.p[i] = -INFINITY, label[i] = -1;
    pack(tiles, x_DB, layer.features, x.p);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        Work work(0, layer);
        const int64_t first = bound(layer, p, count), last = bound(layer, p + 1, count);
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t lane = tiles.first(t) * W, at = (p * tiles.lanes() + lane) * k;
            const int64_t real = tiles.batch - lane;
            const float *xt = x.p + tiles.at(t, layer.features);
#define CALL(NV)                                                                                              \
    {                                                                                                         \
        if (layer.wide)                                                                                       \
            best_of_tile<NV, int32_t>(layer, xt, first, last, real, k, score.p + at, label + at, work);      \
        else                                                                                                  \
            best_of_tile<NV, uint16_t>(layer, xt, first, last, real, k, score.p + at, label + at, work);     \
    }
            FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
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

namespace xmc {
const Kernels &XMC_FUNCTION() {
    static const Kernels kernels{XMC_NAME, forward, backward, train_step, top_k};
    return kernels;
}
}  // namespace xmc
