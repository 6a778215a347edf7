// What the kernels are given and give back: plain pointers, no torch, no Python.
//
// Shapes: B documents, D features, L labels, K fan-in, G labels a group, P positive pairs, k predictions a document.
#pragma once

#include <cstdint>

namespace xmc {

enum class Loss : int { squared_hinge = 0, bce = 1, given = 2 };
enum class Rule : int { sgd = 0, momentum = 1, adamw = 2 };

// A fixed fan-in layer. Label l has weights weight[l*K .. l*K+K) and reads the inputs of row l/G of the index: G = 1 gives
// each label inputs of its own, G > 1 is a group of neighbours that share one row (the last group may be short).
struct Layer {
    void *weight;       // float32, or bfloat16 if bf16
    const void *index;  // uint16, or int32 if wide
    float *bias;        // L
    bool bf16, wide;
    int64_t labels, features, fan_in, group;
};

// Features as they lie: that of feature d and document b is p[d * of_feature + b * of_document].
struct Features {
    const void *p;  // float32, or bfloat16 if bf16
    bool bf16;
    int64_t of_feature, of_document;
};

// Positive pairs; kernels want them sorted by label, then document (pairs.hpp).
struct Positives {
    const int64_t *label, *row;
    int64_t pairs;
};

// How weights move; moments are float32 and null where the rule has none.
struct Update {
    Rule rule;
    float rate, decay, bias_rate, bias_decay, momentum, beta1, beta2, epsilon;
    float correction1, correction2;  // 1 − β^step
    uint64_t key;                    // of stochastic rounding: changes each step
    float *first, *second, *bias_first, *bias_second;
};

struct Step {
    Loss loss;
    float scale;                // of this loss in the total
    const float *label_weight;  // L, or null
};

struct StepResult {
    double loss;       // summed over labels, divided by B, not scaled
    int64_t zeros;     // (document, label) pairs whose score gradient is exactly zero
    int64_t skipped;   // labels without any non-zero gradient: their backward work was left out
    int64_t bad_label; // first label with a non-finite gradient (left as it was), or −1; or one of the two below
};

// In place of a bad label, where nothing was updated: features that are not finite, a pair outside of documents × labels.
constexpr int64_t BAD_FEATURES = -2, BAD_PAIRS = -3;

// One set of functions an instruction set; `threads` never changes a bit of any result.
struct Kernels {
    const char *name;
    int64_t vector;                  // documents side by side in a register
    int64_t (*tile)(int64_t group);  // documents worked on at a time, at most, where G labels share their inputs
    // z_LB of labels [0, L) from x_DB (row stride `stride` floats).
    void (*forward)(const Layer &, const float *x_DB, int64_t batch, float *z_LB, int threads);
    // Gradients of forward: all three outputs are overwritten.
    void (*backward)(const Layer &, const float *x_DB, const float *grad_z_LB, int64_t batch, float *grad_x_DB,
                     float *grad_weight_LK, float *grad_bias_L, int threads);
    // Score → loss gradient → grad_x (float32), weights updated in place. Features in bfloat16 are not of groups.
    StepResult (*train_step)(const Layer &, const Features &, int64_t batch, const Positives &, const Step &, const Update &,
                             float *grad_x_DB, int threads);
    // The k best labels of every document, best first, ties to the smaller label.
    void (*top_k)(const Layer &, const float *x_DB, int64_t batch, int64_t k, float *score_Bk, int64_t *label_Bk,
                  int threads);
};

// Bytes of the arrays that kernels make for themselves: how many live, and the most since the last question. Defined in
// scratch.cpp alone, so that no instruction set's copy is linked into another.
void scratch_taken(int64_t bytes);
int64_t most_scratch();

// Large arrays wait for the next call (the newest 32 MiB): the system zeroes each page that it hands out, which took a call 1 to
// 2 ms, as long as some thousand labels. `large_taken` gives null where none of this size waits.
void *large_taken(int64_t bytes);
void large_given_back(void *p, int64_t bytes);
int64_t free_kept();

#if defined(__x86_64__)
const Kernels &kernels_avx512();
const Kernels &kernels_avx2();
#endif
const Kernels &kernels_baseline();

}  // namespace xmc
