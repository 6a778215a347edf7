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
        recipes=digest_of_recipes(["paper", "paper_official", "paper_printed"]),
        code=rooms_hash("training", "output", "topology", "encoder", "kernels"),
    shell:
        "xmcbench paper-check --out {output} --log {log}"


rule paper_check:
    input:
        rules.check_paper.output,
