# The paper's own runs: one target a data set, and one for each of its other recipes.
for _source in [s for s in SOURCES if s.startswith("paper_")]:

    rule:
        name:
            _source
        input:
            outputs_of(_source),


# Does every run of the paper's grid run at all? On synthetic stand-ins, on a CPU, in minutes.
rule check_paper:
    output:
        "results/collected/paper_check.csv",
    log:
        "logs/paper_check.log",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        recipes=digest_of_recipes(
            run
            for source in ["paper", "paper_official", "paper_printed"]
            for run in GRIDS[source]
        ),
        code=rooms_hash("training", "output", "topology", "encoder", "kernels"),
    shell:
        "xmcbench paper-check --out {output} --log {log}"


rule paper_check:
    input:
        rules.check_paper.output,


# What do its steps cost at their real size? On a GPU, with random weights and documents, in minutes.
rule measure_paper_cost:
    output:
        "results/collected/paper_cost.csv",
    log:
        "logs/paper_cost.log",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    resources:
        gpu=1,
    params:
        recipes=lambda w: digest_of_recipes(PROJECT.cost_runs()),
        code=rooms_hash("training", "output", "topology", "encoder", "kernels"),
    shell:
        "xmcbench paper-cost --out {output} --log {log}"


rule paper_cost:
    input:
        rules.measure_paper_cost.output,
