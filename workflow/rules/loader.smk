# Documents a second of the loader on this machine (needs the extra `test`): an idle machine, please.


rule benchmark_loader:
    output:
        "results/benchmarks/loader.json",
    log:
        "logs/loader/benchmark.log",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        code=rooms_hash("data", "training", "kernels", "output"),
    shell:
        "python -m pytest tests/benchmarks/test_loader.py --benchmark-enable --benchmark-only -q"
        " --benchmark-json={output} > {log} 2>&1"


rule collect_loader:
    input:
        "results/benchmarks/loader.json",
    output:
        "results/collected/loader.csv",
    log:
        "logs/loader/collect.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench loader-collect --json {input} --out {output} --log {log}"
