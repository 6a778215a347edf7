# Timings of the kernels on this machine (needs the extra `test`): an idle machine, please.
BENCHMARKS = {
    "kernels": "tests/benchmarks/test_kernels.py",
    "kernels_gpu": "tests/benchmarks/test_kernels_gpu.py",
}


rule benchmark_kernels:
    output:
        "results/benchmarks/{kernels}.json",
    log:
        "logs/{kernels}/benchmark.log",
    wildcard_constraints:
        kernels=names(BENCHMARKS),
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        code=rooms_hash("kernels", "output"),
        tests=lambda w: BENCHMARKS[w.kernels],
        device=lambda w: "cuda" if w.kernels == "kernels_gpu" else "cpu",
    shell:
        "xmcbench kernels-device --device {params.device} --log {log} && "
        "python -m pytest {params.tests} --benchmark-enable --benchmark-only -q"
        " --benchmark-json={output} >> {log} 2>&1"


rule collect_kernels:
    input:
        "results/benchmarks/{kernels}.json",
    output:
        rows="results/collected/{kernels}.csv",
        machine="results/collected/{kernels}_machine.csv",
    log:
        "logs/{kernels}/collect.log",
    wildcard_constraints:
        kernels=names(BENCHMARKS),
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
        device=lambda w: "cuda" if w.kernels == "kernels_gpu" else "cpu",
    shell:
        "xmcbench kernels-collect --json {input} --device {params.device} --out {output.rows} --log {log}"


rule draw_kernels:
    input:
        "results/collected/{kernels}.csv",
        "results/collected/{kernels}_machine.csv",
    output:
        [
            f"results/figures/{{kernels}}/{figure}.{suffix}"
            for figure in kernel_figures("{kernels}")
            for suffix in SUFFIXES
        ],
    log:
        "logs/{kernels}/figures.log",
    wildcard_constraints:
        kernels=names(BENCHMARKS),
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "xmcbench kernels-figures --kernels {wildcards.kernels} --out {params.out} --log {log}"


# Of the committed measurements, for the page: it never starts benchmarks.
for _kernels in BENCHMARKS:

    rule:
        name:
            f"show_{_kernels}"
        input:
            f"results/reference/{_kernels}.csv",
            f"results/reference/{_kernels}_machine.csv",
        output:
            [
                report(
                    f"results/experiments/kernels/{figure}.png",
                    caption=f"../report/{figure}.rst",
                    category="Kernels",
                    labels={"figure": figure},
                )
                for figure in kernel_figures(_kernels)
            ],
            [
                f"results/experiments/kernels/{figure}.{suffix}"
                for figure in kernel_figures(_kernels)
                for suffix in SUFFIXES
                if suffix != "png"
            ],
        log:
            f"logs/{_kernels}/show.log",
        conda:
            "../../envs/xmcbench.yaml"
        params:
            code=REPORTING,
            kernels=_kernels,
            out=lambda w, output: Path(output[0]).parent,
        shell:
            "xmcbench kernels-figures --rows results/reference --kernels {params.kernels} --out {params.out} --log {log}"
