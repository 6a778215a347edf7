// The fixed fan-in kernels for one instruction set (compiled once for each, see CMakeLists.txt).
//
// Per label: z = b + Σ_j w_j·x[i_j] → g = ∂loss/∂z → gw_j = Σ_b g·x[i_j], gx[i_j] += w_j·g → w_j updated in place. The
// scores of one label and one tile of documents live in registers; nothing of size B×L exists.
//
// Arithmetic. A tile is eight vectors of documents (64 with AVX2). A connection does 3 multiply-adds a document. Its row
// of x comes from L2 once (the second use hits L1), its row of gx comes from L2 and goes back: with D = 768 a tile of x
// and of gx is 196 KB each. So 12 cache lines move for 24 AVX2 multiply-adds: on a core that moves half a line a cycle
// and does two multiply-adds a cycle, one half of peak is the limit. Other documents follow tile by tile, a chunk of
// labels at a time, so that one tile's x and gx stay in L2.
//
// Reproducibility. Labels are cut into partitions by their number alone; each has its own sum of gx, and these are
// added in order. Threads only choose who computes a partition.
#include "fan_in.hpp"
#include "vector.hpp"

#include <cmath>
#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace {

using namespace xmc;

constexpr int TILE = 8;             // vectors of documents in a tile, at most: as many accumulators fit the registers
constexpr int64_t CHUNK = 8192;     // connections whose weight gradient is kept between tiles (32 KB)
constexpr int MAX_PARTITIONS = 16;
constexpr int64_t LARGE = 2 << 20;  // bytes of a large page

inline __attribute__((always_inline)) int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct Buffer {  // aligned floats; an allocation that fails ends the program as any other would
    float *p;
    explicit Buffer(int64_t n) {
        // Rows are read in random order: large pages spare most of the misses of the address translation.
        const int64_t bytes = n * 4 + 64, page = bytes >= LARGE / 32 ? LARGE : 64;
        p = static_cast<float *>(std::aligned_alloc(page, up(bytes, page)));
        if (!p) std::abort();
#if defined(__linux__)
        if (page == LARGE) madvise(p, up(bytes, page), MADV_HUGEPAGE);
#endif
    }
    ~Buffer() { std::free(p); }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
};

struct Tiles {
    int64_t batch, vectors, count;
    explicit Tiles(int64_t b) : batch(b), vectors(up(b, W) / W), count(up(vectors, TILE) / TILE) {}
    int64_t first(int64_t t) const { return t * vectors / count; }  // in vectors
    int width(int64_t t) const { return int(first(t + 1) - first(t)); }
    int64_t lanes() const { return vectors * W; }
    // Where row d of tile t begins in a packed array of D rows.
    int64_t at(int64_t t, int64_t features) const { return first(t) * W * features; }
};

int partitions(int64_t labels) {
    const int64_t n = (labels + 1023) / 1024;
    return int(n < 1 ? 1 : n > MAX_PARTITIONS ? MAX_PARTITIONS : n);
}

// Tile by tile, row by row; with ROWS = 2 each row of x is followed by a row of zeros for its gradient.
template <int ROWS>
void pack(const Tiles &tiles, const float *x_DB, int64_t features, float *packed) {
    for (int64_t t = 0; t < tiles.count; t++) {
        const int64_t from = tiles.first(t) * W, n = tiles.width(t) * W;
        const int64_t real = tiles.batch - from < n ? tiles.batch - from : n;
        float *to = packed + ROWS * tiles.at(t, features);
        for (int64_t d = 0; d < features; d++, to += ROWS * n) {
            std::memcpy(to, x_DB + d * tiles.batch + from, real * 4);
            std::memset(to + real, 0, (ROWS * n - real) * 4);
        }
    }
}

// Add the partitions' sums in order into grad_x_DB.
void unpack(const Tiles &tiles, const float *parts, int count, int64_t features, float *grad_x_DB, int threads) {
    const int64_t size = 2 * features * tiles.lanes();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t d = 0; d < features; d++)
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t from = tiles.first(t) * W, n = tiles.width(t) * W;
            const float *row = parts + 2 * tiles.at(t, features) + (2 * d + 1) * n;
            for (int64_t b = 0; b < n && from + b < tiles.batch; b++) {
                float s = 0;
                for (int p = 0; p < count; p++) s += row[p * size + b];
                grad_x_DB[d * tiles.batch + from + b] = s;
            }
        }
}

// ROWS: rows between one feature and the next (2 where rows of x and of its gradient take turns).
template <int NV, int ROWS, class Index>
inline __attribute__((always_inline)) void scores(const float *x, const float *w, const Index *index, int64_t fan_in, float bias, vec *z) {
    vec s[NV];
    for (int v = 0; v < NV; v++) s[v] = all(bias);
    for (int64_t j = 0; j < fan_in; j++) {
        const float *row = x + (int64_t)index[j] * (NV * W * ROWS);
        const vec wj = all(w[j]);
        for (int v = 0; v < NV; v++) s[v] += wj * load(row + v * W);
    }
    for (int v = 0; v < NV; v++) z[v] = s[v];
}

// gx[i_j] += w_j·g, and partial sums of gw_j = Σ_b g·x[i_j] by lane.
template <int NV, class Index>
inline __attribute__((always_inline)) void spread(float *xg, const float *w, const Index *index, int64_t fan_in, const vec *gradient,
                   float *partial) {
    vec g[NV];
    for (int v = 0; v < NV; v++) g[v] = gradient[v];
    for (int64_t j = 0; j < fan_in; j++) {
        const float *from = xg + (int64_t)index[j] * (NV * W * 2);
        float *to = xg + (int64_t)index[j] * (NV * W * 2) + NV * W;
        const vec wj = all(w[j]);
        vec a = g[0] * load(from), b = {};
        store(to, load(to) + wj * g[0]);
        for (int v = 1; v < NV; v++) {
            if (v & 1)
                b += g[v] * load(from + v * W);
            else
                a += g[v] * load(from + v * W);
            store(to + v * W, load(to + v * W) + wj * g[v]);
        }
        store(partial + j * W, a + b);
    }
}

// Turn K lane sums into the K weight gradients; `first` overwrites, later tiles add.
inline __attribute__((always_inline)) void reduce(const float *partial, int64_t fan_in, bool first, float *gw) {
    for (int64_t j = 0; j < fan_in; j += W) {
        vec a[W];
        for (int i = 0; i < W; i++) a[i] = load(partial + (j + i) * W);
        const vec s = sums(a);
        store(gw + j, first ? s : load(gw + j) + s);
    }
}

struct Work {  // what one partition carries from label to label
    Buffer partial, gw, row;
    LogSum logs;
    vec losses = {};   // of the labels since the last flush
    veci nonzero = {};  // −1 for each score gradient that is not zero, since the last flush
    double loss = 0;
    int64_t zeros = 0, skipped = 0, bad = -1;
    Work(int64_t connections, int64_t fan_in) : partial(up(fan_in, W) * W), gw(connections), row(up(fan_in, W)) {
        std::memset(partial.p, 0, up(fan_in, W) * W * 4);
    }
    void flush() {
        loss += (double)sum(losses);
        zeros += sum(nonzero);  // the number of documents was added before
        losses = vec{};
        nonzero = veci{};
    }
};

// Loss and its gradient for one label and one tile. Returns whether any gradient is not zero.
template <int NV, Loss LOSS>
inline __attribute__((always_inline)) bool loss_gradient(const Step &step, float label_weight, const vec *z, const float *mask, const int64_t *row,
                          int64_t positives, int64_t first, float per_document, Work &work, vec *g, vec &total) {
    const float scale = step.scale * label_weight * per_document;
    const vec zero = {}, one = all(1.0f);
    vec s = {};
    if (LOSS == Loss::squared_hinge) {
        const vec size = all(2 * scale);
        for (int v = 0; v < NV; v++) {
            const vec m = z[v] + one;
            const vec margin = (vec)(bits(where(m < zero, zero, m)) & bits(load(mask + v * W)));
            s += margin * margin;
            g[v] = margin * size;
        }
    } else {
        vec product = work.logs.product;
        for (int v = 0; v < NV; v++) {
            const veci real = bits(load(mask + v * W));
            const veci negative = (veci)(z[v] < zero);
            const vec e = (vec)(bits(exp_negative(where(negative, z[v], -z[v]))) & real);  // 0 where no document is
            const vec d = e + one;
            const vec i = one / d;
            g[v] = (vec)(bits(where(negative, e * i, i) * scale) & real);
            // softplus(z) = max(z, 0) + log(1 + e^−|z|); what rounding took from 1 + e is added to first order.
            s += (vec)(bits(where(negative, zero, z[v])) & real) + (e - (d - one));
            product *= d;
        }
        // The labels' logarithms share one product, unless they are weighted.
        if (label_weight == 1.0f) {
            work.logs.product = product;
            work.logs.renormalise();
        } else {
            LogSum own;
            own.product = product / work.logs.product;
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
    return sum(live) != 0;
}

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

// The row of weights as float32: the layer's own, or widened into scratch.
inline __attribute__((always_inline)) float *weights_of(const Layer &layer, int64_t label, float *row) {
    if (!layer.bf16) return static_cast<float *>(layer.weight) + label * layer.fan_in;
    const uint16_t *from = static_cast<const uint16_t *>(layer.weight) + label * layer.fan_in;
    for (int64_t j = 0; j < layer.fan_in; j++) row[j] = from_bf16(from[j]);
    return row;
}

void update_label(const Layer &layer, const Update &u, int64_t label, const float *gw, float g_bias, Work &work) {
    const int64_t k = layer.fan_in, at = label * k;
    if (gw) {
        float total = g_bias;
        for (int64_t j = 0; j < k; j++) total += gw[j];
        if (!std::isfinite(total)) {
            if (work.bad < 0) work.bad = label;
            return;
        }
    }
    float *w = weights_of(layer, label, work.row.p);
    advance(u, u.rate, u.decay, w, gw, u.first ? u.first + at : nullptr, u.second ? u.second + at : nullptr, k);
    if (layer.bf16) {
        uint16_t *to = static_cast<uint16_t *>(layer.weight) + at;
        const uint32_t key = mixed(u.key, label);
        for (int64_t j = 0; j < k; j++) to[j] = to_bf16(w[j], random16(key, (uint32_t)j));
    }
    advance(u, u.bias_rate, u.bias_decay, layer.bias + label, gw ? &g_bias : nullptr, u.bias_first ? u.bias_first + label : nullptr,
            u.bias_second ? u.bias_second + label : nullptr, 1);
}

struct Chunk {
    int64_t first, last;
    const int64_t *from;  // where each label's positives begin (and the last one's end)
    bool *live;
    float *g_bias;
};

template <int NV, Loss LOSS, class Index>
void chunk_tile(const Layer &layer, const Step &step, const Chunk &chunk, const Positives &positives, const float *mask,
                float *xg, int64_t lane, int64_t batch, int64_t stride, Work &work) {
    const Index *index = static_cast<const Index *>(layer.index);
    const int64_t real = batch - lane < NV * W ? batch - lane : NV * W;
    for (int64_t label = chunk.first; label < chunk.last; label++) {
        const int64_t i = label - chunk.first;
        const Index *inputs = index + label * layer.fan_in;
        const float *w = weights_of(layer, label, work.row.p);
        vec z[NV], g[NV], total = {};
        scores<NV, 2>(xg, w, inputs, layer.fan_in, layer.bias[label], z);
        const int64_t *rows = positives.row + chunk.from[i];
        work.zeros += real;
        const bool live = loss_gradient<NV, LOSS>(step, step.label_weight ? step.label_weight[label] : 1.0f, z, mask, rows,
                                            chunk.from[i + 1] - chunk.from[i], lane, 1.0f / (float)batch, work, g, total);
        if (!live) continue;
        spread<NV>(xg, w, inputs, layer.fan_in, g, work.partial.p);
        reduce(work.partial.p, layer.fan_in, !chunk.live[i], work.gw.p + i * stride);
        chunk.g_bias[i] += sum(total);
        chunk.live[i] = true;
    }
}

#define FOR_WIDTH(width, call)     \
    switch (width) {               \
    case 1: call(1); break;        \
    case 2: call(2); break;        \
    case 3: call(3); break;        \
    case 4: call(4); break;        \
    case 5: call(5); break;        \
    case 6: call(6); break;        \
    case 7: call(7); break;        \
    default: call(8); break;       \
    }

template <class Index>
void train_partition(const Layer &layer, const Step &step, const Update &update, const Positives &positives,
                     const Tiles &tiles, const float *mask, float *xg, int64_t first, int64_t last, StepResult &result) {
    const int64_t stride = up(layer.fan_in, W);
    const int64_t wanted = tiles.count == 1 ? 8 : CHUNK / stride;
    const int64_t size = wanted < 1 ? 1 : wanted;
    Work work(size * stride, layer.fan_in);
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
            const int64_t offset = 2 * tiles.at(t, layer.features);
            const int64_t lane = tiles.first(t) * W;
#define CALL(NV)                                                                                                 \
    if (step.loss == Loss::squared_hinge)                                                                        \
        chunk_tile<NV, Loss::squared_hinge, Index>(layer, step, chunk, positives, mask + lane, xg + offset, lane,  \
                                                   tiles.batch, stride, work);                                   \
    else                                                                                                         \
        chunk_tile<NV, Loss::bce, Index>(layer, step, chunk, positives, mask + lane, xg + offset, lane,           \
                                         tiles.batch, stride, work)
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
    const int64_t size = 2 * layer.features * tiles.lanes();
    Buffer xg(size * count), mask(tiles.lanes());
    for (int64_t b = 0; b < tiles.lanes(); b++) {
        const int32_t real = b < batch ? -1 : 0;
        std::memcpy(mask.p + b, &real, 4);
    }
    StepResult results[MAX_PARTITIONS];
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        float *own = xg.p + p * size;
        pack<2>(tiles, x_DB, layer.features, own);
        const int64_t first = layer.labels * p / count, last = layer.labels * (p + 1) / count;
        if (layer.wide)
            train_partition<int32_t>(layer, step, update, positives, tiles, mask.p, own, first, last, results[p]);
        else
            train_partition<uint16_t>(layer, step, update, positives, tiles, mask.p, own, first, last, results[p]);
    }
    unpack(tiles, xg.p, count, layer.features, grad_x_DB, threads);
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
void forward_block(const Layer &layer, const Tiles &tiles, const float *x, int64_t first, int64_t last, float *z_LB) {
    Buffer row(layer.fan_in);
    const Index *index = static_cast<const Index *>(layer.index);
    for (int64_t t = 0; t < tiles.count; t++) {
        const float *xt = x + tiles.at(t, layer.features);
        const int64_t lane = tiles.first(t) * W;
        for (int64_t label = first; label < last; label++) {
            const float *w = weights_of(layer, label, row.p);
            float *to = z_LB + label * tiles.batch + lane;
#define CALL(NV)                                                                                        \
    {                                                                                                   \
        vec z[NV];                                                                                      \
        scores<NV, 1>(xt, w, index + label * layer.fan_in, layer.fan_in, layer.bias[label], z);            \
        if (lane + NV * W <= tiles.batch)                                                               \
            for (int v = 0; v < NV; v++) store(to + v * W, z[v]);                                       \
        else                                                                                            \
            for (int64_t b = 0; lane + b < tiles.batch; b++) to[b] = z[b / W][b % W];                   \
    }
            FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
        }
    }
}

void forward(const Layer &layer, const float *x_DB, int64_t batch, float *z_LB, int threads) {
    const Tiles tiles(batch);
    Buffer x(layer.features * tiles.lanes());
    pack<1>(tiles, x_DB, layer.features, x.p);
    constexpr int64_t BLOCK = 512;
    const int64_t blocks = up(layer.labels, BLOCK) / BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t n = 0; n < blocks; n++) {
        const int64_t last = (n + 1) * BLOCK < layer.labels ? (n + 1) * BLOCK : layer.labels;
        if (layer.wide)
            forward_block<int32_t>(layer, tiles, x.p, n * BLOCK, last, z_LB);
        else
            forward_block<uint16_t>(layer, tiles, x.p, n * BLOCK, last, z_LB);
    }
}

template <class Index>
void backward_partition(const Layer &layer, const Tiles &tiles, const float *grad_z_LB, float *xg, float *grad_weight_LK,
                        float *grad_bias_L, int64_t first, int64_t last) {
    const int64_t stride = up(layer.fan_in, W);
    Work work(stride, layer.fan_in);
    const Index *index = static_cast<const Index *>(layer.index);
    for (int64_t t = 0; t < tiles.count; t++) {
        const int64_t offset = 2 * tiles.at(t, layer.features), lane = tiles.first(t) * W;
        for (int64_t label = first; label < last; label++) {
            const float *from = grad_z_LB + label * tiles.batch + lane;
            const float *w = weights_of(layer, label, work.row.p);
            float g_bias = 0;
#define CALL(NV)                                                                                              \
    {                                                                                                         \
        vec g[NV], total = {};                                                                                \
        for (int v = 0; v < NV; v++) {                                                                        \
            g[v] = vec{};                                                                                     \
            if (lane + (v + 1) * W <= tiles.batch)                                                            \
                g[v] = load(from + v * W);                                                                    \
            else                                                                                              \
                for (int64_t b = 0; lane + v * W + b < tiles.batch; b++) g[v][b] = from[v * W + b];           \
            total += g[v];                                                                                    \
        }                                                                                                     \
        spread<NV>(xg + offset, w, index + label * layer.fan_in, layer.fan_in, g, work.partial.p);            \
        g_bias = sum(total);                                                                                  \
    }
            FOR_WIDTH(tiles.width(t), CALL)
#undef CALL
            reduce(work.partial.p, layer.fan_in, true, work.gw.p);
            float *to = grad_weight_LK + label * layer.fan_in;
            for (int64_t j = 0; j < layer.fan_in; j++) to[j] = (t ? to[j] : 0.0f) + work.gw.p[j];
            grad_bias_L[label] = (t ? grad_bias_L[label] : 0.0f) + g_bias;
        }
    }
}

void backward(const Layer &layer, const float *x_DB, const float *grad_z_LB, int64_t batch, float *grad_x_DB,
              float *grad_weight_LK, float *grad_bias_L, int threads) {
    const Tiles tiles(batch);
    const int count = partitions(layer.labels);
    const int64_t size = 2 * layer.features * tiles.lanes();
    Buffer xg(size * count);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        float *own = xg.p + p * size;
        pack<2>(tiles, x_DB, layer.features, own);
        const int64_t first = layer.labels * p / count, last = layer.labels * (p + 1) / count;
        if (layer.wide)
            backward_partition<int32_t>(layer, tiles, grad_z_LB, own, grad_weight_LK, grad_bias_L, first, last);
        else
            backward_partition<uint16_t>(layer, tiles, grad_z_LB, own, grad_weight_LK, grad_bias_L, first, last);
    }
    unpack(tiles, xg.p, count, layer.features, grad_x_DB, threads);
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
                  float *score, int64_t *best, float *row) {
    const Index *index = static_cast<const Index *>(layer.index);
    vec bar[NV];  // the k-th best score so far of each document; +∞ for lanes that are none
    for (int v = 0; v < NV; v++)
        for (int b = 0; b < W; b++) bar[v][b] = v * W + b < real ? -INFINITY : INFINITY;
    for (int64_t label = first; label < last; label++) {
        vec z[NV];
        scores<NV, 1>(x, weights_of(layer, label, row), index + label * layer.fan_in, layer.fan_in, layer.bias[label], z);
        veci any = {};
        for (int v = 0; v < NV; v++) any |= (veci)(z[v] > bar[v]);
        bool some = false;
        for (int b = 0; b < W; b++) some |= any[b] != 0;
        if (!some) continue;
        for (int v = 0; v < NV; v++)
            for (int b = 0; b < W; b++)
                if (z[v][b] > bar[v][b]) {
                    const int64_t document = v * W + b;
                    enter(score + document * k, best + document * k, k, z[v][b], label);
                    bar[v][b] = score[document * k + k - 1];
                }
    }
}

void top_k(const Layer &layer, const float *x_DB, int64_t batch, int64_t k, float *score_Bk, int64_t *label_Bk,
           int threads) {
    const Tiles tiles(batch);
    const int count = partitions(layer.labels);
    Buffer x(layer.features * tiles.lanes()), score(count * tiles.lanes() * k), label_(2 * count * tiles.lanes() * k);
    int64_t *label = reinterpret_cast<int64_t *>(label_.p);
    for (int64_t i = 0; i < count * tiles.lanes() * k; i++) score.p[i] = -INFINITY, label[i] = -1;
    pack<1>(tiles, x_DB, layer.features, x.p);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
    for (int p = 0; p < count; p++) {
        Buffer row(layer.fan_in);
        const int64_t first = layer.labels * p / count, last = layer.labels * (p + 1) / count;
        for (int64_t t = 0; t < tiles.count; t++) {
            const int64_t lane = tiles.first(t) * W, at = (p * tiles.lanes() + lane) * k;
            const int64_t real = tiles.batch - lane;
            const float *xt = x.p + tiles.at(t, layer.features);
#define CALL(NV)                                                                                              \
    {                                                                                                         \
        if (layer.wide)                                                                                       \
            best_of_tile<NV, int32_t>(layer, xt, first, last, real, k, score.p + at, label + at, row.p);      \
        else                                                                                                  \
            best_of_tile<NV, uint16_t>(layer, xt, first, last, real, k, score.p + at, label + at, row.p);     \
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
