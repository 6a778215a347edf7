// The kernels on arrays from files, for a processor on which no Python is at hand: `kernels_on_files FOLDER forward|train_step|top_k`.
//
// FOLDER/numbers: labels features fan_in group batch k threads bf16 wide loss rule key, then scale rate decay bias_rate bias_decay
// momentum beta1 beta2 epsilon correction1 correction2. Every other file is an array as it lies in memory; one that is not there is null.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fan_in.hpp"
#include "pairs.hpp"

namespace {

std::string folder;

struct Array {
    std::vector<char> bytes;
    template <class T>
    T *as() { return bytes.empty() ? nullptr : (T *)bytes.data(); }
};

Array read(const char *name) {
    std::ifstream file(folder + "/" + name, std::ios::binary);
    return {std::vector<char>(std::istreambuf_iterator<char>(file), {})};
}

void write(const char *name, const Array &array) {
    std::ofstream(folder + "/" + name, std::ios::binary).write(array.bytes.data(), (std::streamsize)array.bytes.size());
}

}  // namespace

int main(int, char **arguments) {
    folder = arguments[1];
    const std::string what = arguments[2];
    std::ifstream numbers(folder + "/numbers");
    int64_t labels, features, fan_in, group, batch, k;
    int threads, bf16, wide, loss, rule;
    uint64_t key;
    xmc::Step step{};
    xmc::Update u{};
    numbers >> labels >> features >> fan_in >> group >> batch >> k >> threads >> bf16 >> wide >> loss >> rule >> key;
    numbers >> step.scale >> u.rate >> u.decay >> u.bias_rate >> u.bias_decay >> u.momentum >> u.beta1 >> u.beta2 >> u.epsilon;
    numbers >> u.correction1 >> u.correction2;
    if (!numbers) return 2;

    Array weight = read("weight"), index = read("index"), bias = read("bias"), x = read("x");
    const xmc::Layer layer{weight.as<void>(), index.as<void>(), bias.as<float>(), bf16 != 0, wide != 0, labels, features, fan_in, group};
    const xmc::Kernels &kernels = xmc::kernels_baseline();
    if (what == "forward") {
        Array z{std::vector<char>(size_t(labels * batch * 4))};
        kernels.forward(layer, x.as<float>(), batch, z.as<float>(), threads);
        write("z", z);
    } else if (what == "top_k") {
        Array score{std::vector<char>(size_t(batch * k * 4))}, label{std::vector<char>(size_t(batch * k * 8))};
        kernels.top_k(layer, x.as<float>(), batch, k, score.as<float>(), label.as<int64_t>(), threads);
        write("score", score), write("best", label);
    } else {
        Array label = read("label"), row = read("row"), label_weight = read("label_weight");
        Array first = read("first"), second = read("second"), bias_first = read("bias_first"), bias_second = read("bias_second");
        Array grad_x{std::vector<char>(size_t(features * batch * 4))};
        step.loss = (xmc::Loss)loss, step.label_weight = label_weight.as<float>();
        u.rule = (xmc::Rule)rule, u.key = key;
        u.first = first.as<float>(), u.second = second.as<float>();
        u.bias_first = bias_first.as<float>(), u.bias_second = bias_second.as<float>();
        const xmc::SortedPairs pairs({label.as<int64_t>(), row.as<int64_t>(), (int64_t)(label.bytes.size() / 8)}, labels, batch);
        const auto r = kernels.train_step(layer, {x.as<float>(), false, batch, 1}, batch, pairs.in_order(), step, u, grad_x.as<float>(),
                                          threads);
        write("weight", weight), write("bias", bias), write("grad_x", grad_x);
        write("first", first), write("second", second), write("bias_first", bias_first), write("bias_second", bias_second);
        std::printf("%.17g %lld %lld %lld\n", r.loss, (long long)r.zeros, (long long)r.skipped, (long long)r.bad_label);
    }
    return 0;
}
