# Results that are kept: finished runs are added to results/reference/{ledger}.csv; only what is missing there is planned.
# The ledger is committed and no output: Snakemake would delete it before the job that adds to it.
from xmcbench.reporting.ledger import missing, read_ledger

LEDGERS = {"tuning": "tuning", "methods": "methods_seeds", "fidelity": "fidelity"}


def ledger_of(wildcards):
    rows = read_ledger(Path(f"results/reference/{wildcards.ledger}.csv"))
    return [
        f"{run.folder}/metrics.json"
        for run in missing(GRIDS[LEDGERS[wildcards.ledger]], rows)
    ]


rule record:
    input:
        ledger_of,
    output:
        touch("results/collected/{ledger}.recorded"),
    log:
        "logs/record/{ledger}.log",
    wildcard_constraints:
        ledger=names(LEDGERS),
    conda:
        "../../envs/xmcbench.yaml"
    params:
        grid=lambda w: LEDGERS[w.ledger],
    shell:
        "xmcbench record --grid {params.grid} --ledger results/reference/{wildcards.ledger}.csv --log {log}"
