# Timings of the kernels on this machine (needs the extra `test`): an idle machine, please.


rule benchmark_kernels:
    output:
        "results/benchmarks/kernels.json",
    log:
        "logs/kernels/benchmark.log",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        code=rooms_hash("kernels", "output"),
    shell:
        "python -m pytest tests/benchmarks --benchmark-enable --benchmark-only -q"
        " --benchmark-json={output} > {log} 2>&1"


rule collect_kernels:
    input:
        "results/benchmarks/kernels.json",
    output:
        rows="results/collected/kernels.csv",
        machine="results/collected/kernels_machine.csv",
    log:
        "logs/kernels/collect.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench kernels-collect --json {input} --out {output.rows} --log {log}"


rule draw_kernels:
    input:
        rules.collect_kernels.output,
    output:
        [
            f"results/figures/kernels/{figure}.{suffix}"
            for figure in ["kernels_roofline", "kernels_crossover"]
            for suffix in SUFFIXES
        ],
    log:
        "logs/kernels/figures.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench kernels-figures --log {log}"
