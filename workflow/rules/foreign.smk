# Programs of others, each in an environment of its own that is built from its pins. Never part of `all`.


rule foreign_environment:
    input:
        "envs/foreign/{program}.txt",
    output:
        # Last: an environment that was built half is built again.
        "resources/foreign/{program}/ready",
    log:
        "logs/foreign/{program}.log",
    wildcard_constraints:
        program=r"\w+",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        python=sys.executable,
    shell:
        "rm -rf resources/foreign/{wildcards.program}; "
        "( {params.python} -m venv resources/foreign/{wildcards.program} && "
        "resources/foreign/{wildcards.program}/bin/python -m pip install -r {input} ) >{log} 2>&1 "
        "&& touch {output}"


rule foreign:
    input:
        unpack(run_inputs),
        ready=lambda w: f"resources/foreign/{run_of(w).recipe.program}/ready",
        pins=lambda w: f"envs/foreign/{run_of(w).recipe.program}.txt",
    output:
        [
            f"results/runs/{{budget}}/{{dataset}}/{{method}}/seed{{seed}}/{f}"
            for f in RUN_FILES
        ],
    log:
        "logs/foreign/{budget}/{dataset}/{method}/seed{seed}.log",
    wildcard_constraints:
        method=methods_of("foreign"),
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        run=lambda w: run_of(w).folder,
        recipe=lambda w: run_of(w).canonical_recipe,
    shell:
        "XMCBENCH_SHARED_MACHINE=${{XMCBENCH_SHARED_MACHINE:-$(({threads} < ALL_CORES))}}"
        " xmcbench train --recipe {params.recipe:q} --run {params.run}"
        " --sample $(dirname {input.sample}) --tokens $(dirname {input.tokens})"
        " --python $(dirname {input.ready})/bin/python --pins {input.pins} --log {log}"
