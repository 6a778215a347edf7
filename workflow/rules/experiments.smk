# The experiments of the paper, each a grid file: runs → rows; and verdicts on its claims, from rows alone.
#: Names of grids that are experiments or put experiments together, at each of their scales.
EXPERIMENTS = [name for name in PROJECT.grid_names if PROJECT.shown_by(name)]


rule experiment_rows:
    input:
        lambda w: collected_of(w.experiment),
    output:
        "results/collected/{experiment}_rows.csv",
    log:
        "logs/rows/{experiment}.log",
    wildcard_constraints:
        experiment=names(EXPERIMENTS),
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench rows --grid {wildcards.experiment} --out {output} --log {log}"


rule judge_claims:
    input:
        "config/claims.yaml",
    output:
        report(
            "results/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "claims"},
        ),
        "results/claims_tests.csv",
        "results/claims.md",
    log:
        "logs/claims.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        rows=claimed_rows(),
        cost=cost_rows(),
        in_turns=in_turns_rows(),
        digest="".join(map(digest_of, [claimed_rows(), cost_rows(), in_turns_rows()])),
        code=REPORTING,
    shell:
        "xmcbench claims --rows {params.rows} --also {params.cost} --also {params.in_turns}"
        " --out results --reference results/reference --log {log}"


rule claims:
    input:
        rules.judge_claims.output,


# What is missing in the ledger `runs`, whatever of it this machine's folders hold.
rule ablations_seeds:
    input:
        "results/collected/runs.recorded",


for _experiment in [e for e in EXPERIMENTS if e != "ablations_seeds"]:

    rule:
        name:
            f"show_{_experiment}"
        input:
            f"results/collected/{_experiment}_rows.csv",
        output:
            shown_files(_experiment, _experiment),
        log:
            f"logs/experiments/{_experiment}.log",
        conda:
            "../../envs/xmcbench.yaml"
        params:
            grid=_experiment,
            cost=cost_rows(),
            digest=digest_of(cost_rows()),
            out=lambda w, output: Path(output[0]).parent,
            code=REPORTING,
        shell:
            "xmcbench experiments --grid {params.grid} --rows {input} --also {params.cost} --out {params.out} --log {log}"

    rule:
        name:
            _experiment
        input:
            shown_files(_experiment, _experiment),


# The same from what claims rest on, for the page.
rule show_claimed:
    output:
        [
            report(
                file,
                caption=f"../report/experiment_{Path(file).stem}.rst",
                category="Experiments",
                labels={"experiment": Path(file).stem},
            )
            for file in shown_files("ablations", "claimed")
            if file.endswith((".png", ".csv"))
        ],
        [
            f
            for f in shown_files("ablations", "claimed")
            if not f.endswith((".png", ".csv"))
        ],
    log:
        "logs/experiments/claimed.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        rows=claimed_rows(),
        cost=cost_rows(),
        digest=digest_of(claimed_rows()) + digest_of(cost_rows()),
        out=lambda w, output: Path(output[0]).parent,
        code=REPORTING,
    shell:
        "xmcbench experiments --grid ablations --rows {params.rows} --also {params.cost} --out {params.out} --log {log}"


rule experiments:
    input:
        rules.show_claimed.output,
