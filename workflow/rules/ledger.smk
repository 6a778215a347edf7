# Results that are kept: finished runs are added to results/reference/{ledger}.csv; only what is missing there is planned.
# The ledger is committed and no output: Snakemake would delete it before the job that adds to it.


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
