// Python's door to the CPU kernels: checks shapes and types, picks the instruction set, releases the interpreter lock.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "fan_in.hpp"
#include "pairs.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Any = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Strided = nb::ndarray<nb::device::cpu>;
using Float = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Int = nb::ndarray<int64_t, nb::c_contig, nb::device::cpu>;

const xmc::Kernels *chosen = nullptr;

std::vector<const xmc::Kernels *> available() {
    std::vector<const xmc::Kernels *> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        found.push_back(&xmc::kernels_avx512());
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&xmc::kernels_avx2());
#endif
    found.push_back(&xmc::kernels_baseline());
    return found;
}

const xmc::Kernels &kernels() {
    if (!chosen) chosen = available().front();
    return *chosen;
}

void require(bool holds, const char *message) {
    if (!holds) throw nb::value_error(message);
}

template <class Array>
bool is_type(const Array &array, nb::dlpack::dtype_code code, int bits) {
    return array.dtype().code == (uint8_t)code && array.dtype().bits == bits && array.dtype().lanes == 1;
}

// Whether an array is bfloat16; raises unless it is that or float32.
template <class Array>
bool is_bf16(const Array &array, const char *message) {
    const bool bf16 = is_type(array, nb::dlpack::dtype_code::Bfloat, 16);
    require(bf16 || is_type(array, nb::dlpack::dtype_code::Float, 32), message);
    return bf16;
}

xmc::Layer layer_of(const Any &weight_LK, const Any &index_HK, const Float &bias_L, int64_t group, int64_t features) {
    require(weight_LK.ndim() == 2 && index_HK.ndim() == 2, "weight_LK and index_HK have two dimensions");
    require(group > 0, "group is at least 1");
    require(((int64_t)weight_LK.shape(0) + group - 1) / group == (int64_t)index_HK.shape(0) &&
                weight_LK.shape(1) == index_HK.shape(1),
            "index_HK has one row for each group of labels, and as many columns as weight_LK");
    const bool bf16 = is_bf16(weight_LK, "weight_LK is float32 or bfloat16");
    const bool wide = is_type(index_HK, nb::dlpack::dtype_code::Int, 32);
    require(wide || is_type(index_HK, nb::dlpack::dtype_code::UInt, 16), "index_HK is uint16 or int32");
    require(bias_L.ndim() == 1 && bias_L.shape(0) == weight_LK.shape(0), "bias_L has L elements");
    require(weight_LK.shape(1) > 0, "K is at least 1");
    return {const_cast<void *>(weight_LK.data()), index_HK.data(), const_cast<float *>(bias_L.data()), bf16, wide,
            (int64_t)weight_LK.shape(0), features, (int64_t)weight_LK.shape(1), group};
}

float *moment(std::optional<Float> &array, size_t size, bool needed) {
    require(array.has_value() == needed, "the moments are those of the optimiser");
    require(!needed || array->size() == size, "a moment has the size of its parameter");
    return needed ? array->data() : nullptr;
}

void forward(Any weight_LK, Any index_HK, Float bias_L, int64_t group, Float x_DB, Float z_LB, int threads) {
    require(x_DB.ndim() == 2 && z_LB.ndim() == 2, "x_DB and z_LB have two dimensions");
    const auto layer = layer_of(weight_LK, index_HK, bias_L, group, x_DB.shape(0));
    require((int64_t)z_LB.shape(0) == layer.labels && z_LB.shape(1) == x_DB.shape(1), "z_LB is L × B");
    nb::gil_scoped_release free;
    kernels().forward(layer, x_DB.data(), x_DB.shape(1), z_LB.data(), threads);
}

void backward(Any weight_LK, Any index_HK, Float bias_L, int64_t group, Float x_DB, Float grad_z_LB, Float grad_x_DB,
              Float grad_weight_LK, Float grad_bias_L, int threads) {
    const auto layer = layer_of(weight_LK, index_HK, bias_L, group, x_DB.shape(0));
    require(grad_z_LB.size() == layer.labels * x_DB.shape(1) && grad_x_DB.size() == x_DB.size() &&
                grad_weight_LK.size() == weight_LK.size() && grad_bias_L.size() == bias_L.size(),
            "a gradient has the size of what it is the gradient of");
    nb::gil_scoped_release free;
    kernels().backward(layer, x_DB.data(), grad_z_LB.data(), x_DB.shape(1), grad_x_DB.data(), grad_weight_LK.data(),
                       grad_bias_L.data(), threads);
}

std::tuple<double, int64_t, int64_t, int64_t> train_step(
    Any weight_LK, Any index_HK, Float bias_L, int64_t group, Strided x_DB, Int label_P, Int row_P, Float grad_x_DB,
    std::optional<Float> label_weight_L, int loss, float scale, int rule, float rate, float decay, float bias_rate,
    float bias_decay, float momentum, float beta1, float beta2, float epsilon, float correction1, float correction2, uint64_t key,
    std::optional<Float> first_LK, std::optional<Float> second_LK, std::optional<Float> first_L,
    std::optional<Float> second_L, int threads) {
    require(x_DB.ndim() == 2 && x_DB.shape(1) > 0 && grad_x_DB.size() == x_DB.size(), "grad_x_DB is D × B");
    const auto layer = layer_of(weight_LK, index_HK, bias_L, group, x_DB.shape(0));
    require(loss == 0 || loss == 1, "loss is 0 (squared hinge) or 1 (BCE)");
    require(rule >= 0 && rule <= 2, "rule is 0 (SGD), 1 (momentum) or 2 (AdamW)");
    const bool bf16 = is_bf16(x_DB, "x_DB is float32 or bfloat16");
    require(!bf16 || group == 1, "x_DB is float32 where labels share their inputs");
    require(label_P.size() == row_P.size(), "label_P and row_P have P elements");
    require(!label_weight_L || label_weight_L->size() == bias_L.size(), "label_weight_L has L elements");
    const size_t size = weight_LK.size(), labels = bias_L.size();
    const xmc::Update update{(xmc::Rule)rule, rate, decay, bias_rate, bias_decay, momentum, beta1, beta2, epsilon, correction1, correction2, key,
                             moment(first_LK, size, rule >= 1), moment(second_LK, size, rule == 2),
                             moment(first_L, labels, rule >= 1), moment(second_L, labels, rule == 2)};
    const xmc::Step step{(xmc::Loss)loss, scale, label_weight_L ? label_weight_L->data() : nullptr};
    const xmc::Features features{x_DB.data(), bf16, x_DB.stride(0), x_DB.stride(1)};
    const int64_t batch = x_DB.shape(1);
    nb::gil_scoped_release free;
    const xmc::SortedPairs positives({label_P.data(), row_P.data(), (int64_t)label_P.size()}, layer.labels, batch);
    if (!positives.within) return {0, 0, 0, xmc::BAD_PAIRS};
    const auto r = kernels().train_step(layer, features, batch, positives.in_order(), step, update, grad_x_DB.data(), threads);
    return {r.loss, r.zeros, r.skipped, r.bad_label};
}

void top_k(Any weight_LK, Any index_HK, Float bias_L, int64_t group, Float x_DB, Float score_Bk, Int label_Bk, int threads) {
    const auto layer = layer_of(weight_LK, index_HK, bias_L, group, x_DB.shape(0));
    require(score_Bk.ndim() == 2 && score_Bk.shape(0) == x_DB.shape(1) && label_Bk.size() == score_Bk.size() &&
                score_Bk.shape(1) > 0,
            "score_Bk and label_Bk are B × k");
    nb::gil_scoped_release free;
    kernels().top_k(layer, x_DB.data(), x_DB.shape(1), score_Bk.shape(1), score_Bk.data(), label_Bk.data(), threads);
}

}  // namespace

NB_MODULE(_cpu, m) {
    m.doc() = "Fixed fan-in kernels for CPUs.";
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (auto *k : available()) names.push_back(k->name);
        return names;
    }, "Names this machine can run, best first.");
    m.def("instruction_set", [] { return std::string(kernels().name); }, "The one in use.");
    m.def("use_instruction_set", [](const std::string &name) {
        for (auto *k : available())
            if (name == k->name) {
                chosen = k;
                return;
            }
        throw nb::value_error("this machine does not have that instruction set");
    }, "name"_a, "Choose one by name (for tests and benchmarks).");
    m.def("tile", [](int64_t group) { return std::make_tuple(kernels().vector, kernels().tile(group)); }, "group"_a,
          "Documents side by side in a register, and those worked on at a time, at most, where so many labels share their inputs.");
    m.def("most_scratch", &xmc::most_scratch,
          "Most bytes that kernels held at once beside their arguments since this was last asked.");
    m.def("free_kept", &xmc::free_kept, "Free the arrays that wait for the next call; returns their bytes.");
    // What is written is never converted: a copy would be written in its place, and lost.
    m.def("forward", &forward, "weight_LK"_a, "index_HK"_a, "bias_L"_a, "group"_a, "x_DB"_a, "z_LB"_a.noconvert(), "threads"_a);
    m.def("backward", &backward, "weight_LK"_a, "index_HK"_a, "bias_L"_a, "group"_a, "x_DB"_a, "grad_z_LB"_a,
          "grad_x_DB"_a.noconvert(), "grad_weight_LK"_a.noconvert(), "grad_bias_L"_a.noconvert(), "threads"_a);
    m.def("train_step", &train_step, "weight_LK"_a.noconvert(), "index_HK"_a, "bias_L"_a.noconvert(), "group"_a, "x_DB"_a, "label_P"_a,
          "row_P"_a, "grad_x_DB"_a.noconvert(), "label_weight_L"_a.none(), "loss"_a, "scale"_a, "rule"_a, "rate"_a, "decay"_a,
          "bias_rate"_a, "bias_decay"_a, "momentum"_a, "beta1"_a, "beta2"_a, "epsilon"_a, "correction1"_a, "correction2"_a, "key"_a,
          "first_LK"_a.noconvert().none(), "second_LK"_a.noconvert().none(), "first_L"_a.noconvert().none(),
          "second_L"_a.noconvert().none(), "threads"_a);
    m.def("top_k", &top_k, "weight_LK"_a, "index_HK"_a, "bias_L"_a, "group"_a, "x_DB"_a, "score_Bk"_a.noconvert(),
          "label_Bk"_a.noconvert(), "threads"_a);
}
