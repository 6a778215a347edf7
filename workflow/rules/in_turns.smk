# How fast the methods of a grid are beside each other on this machine (needs the extra `test`): an idle machine, please.


rule benchmark_in_turns:
    input:
        contest_inputs,
    output:
        "results/benchmarks/in_turns/{source}/{contest}.json",
    log:
        "logs/in_turns/{source}/{contest}.log",
    wildcard_constraints:
        contest=r"[^/]+",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        grid=lambda w: SOURCES[w.source],
        test=lambda w: f"tests/benchmarks/test_in_turns.py::test_in_turns[{w.contest}]",
        recipes=lambda w: digest_of_recipes(contest_of(w)),
        code=rooms_hash("data", "encoder", "kernels", "output", "topology", "training"),
    shell:
        "XMCBENCH_IN_TURNS={params.grid} python -m pytest {params.test:q}"
        " --benchmark-enable --benchmark-only -q --benchmark-json={output} > {log} 2>&1"


rule collect_in_turns:
    input:
        lambda w: [
            f"results/benchmarks/in_turns/{w.source}/{contest}.json"
            for contest in contests_of(GRIDS[w.source])
        ],
    output:
        "results/collected/{source}_in_turns.csv",
    log:
        "logs/in_turns/{source}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench in-turns-collect --json {input} --out {output} --log {log}"


rule in_turns:
    input:
        "results/collected/seconds_in_turns.csv",
