# What papers print, as tables and a figure: from committed CSV alone.
_PRINTED = sorted(map(str, Path("results/published").glob("*.csv")))


rule write_published:
    input:
        _PRINTED,
    output:
        [
            f"results/tables/published/{table}.{suffix}"
            for table in [*published_datasets(), "beside"]
            for suffix in ["csv", "md", "tex"]
        ],
        [f"results/figures/published/accuracy_memory.{suffix}" for suffix in SUFFIXES],
    log:
        "logs/published.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        # Ours stand beside them where the paper's grid was run.
        ours=digest_of(Path("results/collected/paper.csv")) + digest_of(cost_rows()),
        cost=cost_rows(),
        code=REPORTING,
    shell:
        "xmcbench published --cost {params.cost} --log {log}"


rule published:
    input:
        rules.write_published.output,
