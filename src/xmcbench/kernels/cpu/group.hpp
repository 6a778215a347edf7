// G labels that share one row of inputs: the rows are gathered once, and then everything is small dense products.
//
// Arithmetic. A block of four labels by three (AVX-512: four) vectors of documents keeps its sums in registers and loads
// seven (eight) values for twelve (sixteen) multiply-adds: the units for multiply-adds are the limit, as in a large matrix product. What the gathering
// of K rows costs is shared by G labels. The gradient by the weights sums over documents: the G score gradients are
// transposed, so that labels lie side by side in a vector and no sum runs across one.
// Measured at K = 128, 16 labels and 64 documents (Zen 3), in multiply-add cycles: scores 1.15 times what their products alone would
// take, either gradient 1.6 times; at K = 32 the loss, the gather and the weights' way from memory are 0.3 of the step. Tried there, and
// not kept (in turns): weight gradients in blocks of six inputs 0.99 to 1.05, the next rows of gx fetched ahead 0.98 to 1.03, both 0.94
// to 1.02; the next group's weights fetched ahead 1.0 to 1.02.
#pragma once

#include "tiles.hpp"

namespace {

using namespace xmc;

constexpr int LABELS = 4;                   // labels of a block
constexpr int VECTORS = W == 16 ? 4 : 3;    // vectors of documents of a block: AVX-512 has 32 registers, others 16
constexpr int INPUTS = W == 16 ? 8 : 4;     // inputs of a block of the weight gradient

// z[m] = bias[m] + Σ_k w[m][k]·x[k], M labels × N vectors.
template <int M, int N>
inline __attribute__((always_inline)) void score_block(const float *x, int64_t row, const float *const *w, const float *bias, int64_t fan_in,
                        float *z) {
    vec s[M][N];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) s[m][n] = all(bias[m]);
    for (int64_t k = 0; k < fan_in; k++, x += row) {
        vec xs[N];
        for (int n = 0; n < N; n++) xs[n] = load(x + n * W);
        for (int m = 0; m < M; m++) {
            const vec wm = all(w[m][k]);
            for (int n = 0; n < N; n++) s[m][n] += wm * xs[n];
        }
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) store(z + m * row + n * W, s[m][n]);
}

// gx[k] += Σ_m w[m][k]·g[m], M inputs (rows `to`, not neighbours) × N vectors.
template <int M, int N>
inline __attribute__((always_inline)) void input_block(const float *g, int64_t row, const float *const *w, int64_t k, int64_t labels,
                        float *const *to, int64_t at) {
    vec s[M][N];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) s[m][n] = load(to[m] + at + n * W);
    for (int64_t l = 0; l < labels; l++, g += row) {
        vec gs[N];
        for (int n = 0; n < N; n++) gs[n] = load(g + n * W);
        for (int m = 0; m < M; m++) {
            const vec wm = all(w[l][k + m]);
            for (int n = 0; n < N; n++) s[m][n] += wm * gs[n];
        }
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) store(to[m] + at + n * W, s[m][n]);
}

// gw[k][l] = Σ_b x[k][b]·g[b][l], M inputs × N vectors of labels.
template <int M, int N>
inline __attribute__((always_inline)) void weight_block(const float *x, int64_t documents, const float *g, int64_t labels, float *to) {
    vec s[M][N];
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) s[m][n] = vec{};
    for (int64_t b = 0; b < documents; b++, g += labels) {
        vec gs[N];
        for (int n = 0; n < N; n++) gs[n] = load(g + n * W);
        for (int m = 0; m < M; m++) {
            const vec xm = all(x[m * documents + b]);
            for (int n = 0; n < N; n++) s[m][n] += xm * gs[n];
        }
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) store(to + m * labels + n * W, s[m][n]);
}

#define FOR_REST(rest, call)       \
    switch (rest) {                \
    case 1: call(1); break;        \
    case 2: call(2); break;        \
    case 3: call(3); break;        \
    default: break;                \
    }

// What a partition holds for one group at a time.
struct Group {
    int64_t inputs;  // K, rounded up
    Buffer x, g;
    Buffer turned, sums;  // g with labels side by side, and sums of W inputs for all labels
    const float **w;
    int64_t *label, *input;  // of the rows of x below, where they come from

    explicit Group(const Layer &layer)
        : inputs(up(layer.fan_in, W)), x(shared(layer) * inputs * TILE * W), g(shared(layer) * up(layer.group, W) * TILE * W),
          turned(shared(layer) * up(layer.group, W) * TILE * W), sums(shared(layer) * up(layer.group, W) * W), w(new const float *[layer.group]),
          label(new int64_t[layer.group]), input(new int64_t[layer.fan_in]) {}
    ~Group() {
        delete[] w;
        delete[] label;
        delete[] input;
    }
    Group(const Group &) = delete;
    Group &operator=(const Group &) = delete;

    static int64_t shared(const Layer &layer) { return layer.group > 1; }

    // Copy the rows of x that the group of label `first` reads, one after another; the last ones are zeros.
    template <int NV>
    void gather(const float *from_x, const Layer &layer, int64_t first) {
        const int64_t fan_in = layer.fan_in, at = first / layer.group * fan_in;
        float *to = x.p;
        for (int64_t k = 0; k < fan_in; k++, to += NV * W) {
            input[k] = layer.wide ? static_cast<const int32_t *>(layer.index)[at + k] : static_cast<const uint16_t *>(layer.index)[at + k];
            const float *from = from_x + input[k] * (NV * W);
            for (int v = 0; v < NV; v++) store(to + v * W, load(from + v * W));
        }
        std::memset(to, 0, (inputs - fan_in) * NV * W * 4);
    }

    // The weights of `count` labels: rows of K as float32, one after another.
    void weights(const float *rows, int64_t fan_in, int64_t count) {
        for (int64_t m = 0; m < count; m++) w[m] = rows + m * fan_in;
    }

    // Scores of `count` labels into g, a row of NV vectors each.
    template <int NV>
    void scores(const Layer &layer, int64_t first, int64_t count) {
        int64_t m = 0;
        for (; m + LABELS <= count; m += LABELS) score_rows<NV, LABELS>(layer, first, m);
#define CALL(M) score_rows<NV, M>(layer, first, m)
        FOR_REST(count - m, CALL)
#undef CALL
    }

    // gw (rows `stride` apart, of the labels in `label`, see `live`) and gx, from the `count` gradients in g.
    template <int NV>
    void spread(float *gx, int64_t fan_in, int64_t count, float *gw, int64_t stride, const bool *live) {
        weight_gradient<NV>(fan_in, count, gw, stride, live);
        float *to[LABELS];
        int64_t k = 0;
        for (; k < fan_in; k += LABELS) {
            const int64_t n = fan_in - k < LABELS ? fan_in - k : LABELS;
            for (int64_t i = 0; i < n; i++) to[i] = gx + input[k + i] * (NV * W);
            if (n == LABELS)
                input_rows<NV, LABELS>(k, count, to);
            else {
#define CALL(M) input_rows<NV, M>(k, count, to)
                FOR_REST(n, CALL)
#undef CALL
            }
        }
    }

   private:
    template <int NV, int M>
    void score_rows(const Layer &layer, int64_t first, int64_t m) {
        constexpr int64_t size = NV * W;
        for (int v = 0; v + VECTORS <= NV; v += VECTORS)
            score_block<M, VECTORS>(x.p + v * W, size, w + m, layer.bias + first + m, layer.fan_in, g.p + m * size + v * W);
        constexpr int rest = NV % VECTORS, at = (NV - rest) * W;
        if constexpr (rest != 0)
            score_block<M, rest>(x.p + at, size, w + m, layer.bias + first + m, layer.fan_in, g.p + m * size + at);
    }

    template <int NV, int M>
    void input_rows(int64_t k, int64_t count, float *const *to) {
        constexpr int64_t size = NV * W;
        for (int v = 0; v + VECTORS <= NV; v += VECTORS)
            input_block<M, VECTORS>(g.p + v * W, size, w, k, count, to, v * W);
        constexpr int rest = NV % VECTORS, at = (NV - rest) * W;
        if constexpr (rest != 0) input_block<M, rest>(g.p + at, size, w, k, count, to, at);
    }

    template <int NV>
    void weight_gradient(int64_t fan_in, int64_t count, float *gw, int64_t stride, const bool *live) {
        constexpr int64_t size = NV * W;
        const int64_t wide = up(count, W);
        std::memset(g.p + count * size, 0, (wide - count) * size * 4);
        vec rows[W];
        for (int64_t m = 0; m < wide; m += W)
            for (int64_t b = 0; b < size; b += W) {
                for (int i = 0; i < W; i++) rows[i] = load(g.p + (m + i) * size + b);
                transpose(rows);
                for (int i = 0; i < W; i++) store(turned.p + (b + i) * wide + m, rows[i]);
            }
        for (int64_t k = 0; k < fan_in; k += W) {
            for (int i = 0; i < W; i += INPUTS) input_sums<INPUTS>(x.p + (k + i) * size, size, wide, sums.p + i * wide);
            for (int64_t m = 0; m < count; m += W) {
                for (int i = 0; i < W; i++) rows[i] = load(sums.p + i * wide + m);
                transpose(rows);
                for (int i = 0; i < W && m + i < count; i++) {
                    float *to = gw + label[m + i] * stride + k;
                    store(to, live[label[m + i]] ? load(to) + rows[i] : rows[i]);
                }
            }
        }
    }

    template <int M>
    void input_sums(const float *from, int64_t documents, int64_t wide, float *to) {
        int64_t n = 0;
        for (; n + 2 * W <= wide; n += 2 * W) weight_block<M, 2>(from, documents, turned.p + n, wide, to + n);
        if (n < wide) weight_block<M, 1>(from, documents, turned.p + n, wide, to + n);
    }
};

}  // namespace
