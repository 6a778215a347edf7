# Runs → tidy CSV. From here on torch is not imported.

COLLECTED = [
    "",
    "_history",
    "_methods",
    "_datasets",
    "_environment",
    "_failures",
    "_groups",
]


rule collect:
    input:
        lambda w: collected_of(w.source),
    output:
        [f"results/collected/{{source}}{part}.csv" for part in COLLECTED],
    log:
        "logs/collect/{source}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        grid=lambda w: SOURCES[w.source],
        # Labels, groups and order are shown, not trained on: a change of theirs only collects again.
        display=lambda w: sorted(
            {str(PROJECT.methods[run.base_method].display) for run in GRIDS[w.source]}
        ),
        code=REPORTING,
    shell:
        "xmcbench collect --source {wildcards.source} --grid {params.grid} --log {log}"
