# CSV → tables, figures, page. `code` is a hash of the reporting room, so that an edited figure is drawn again.


# Figures that others published, where this copy has them.
PUBLISHED = sorted(map(str, Path("results/published").glob("datasets.csv")))


rule write_tables:
    input:
        [f"results/collected/{{source}}{part}.csv" for part in COLLECTED],
        PUBLISHED,
    output:
        [
            report(
                f"results/tables/{{source}}/{table}.csv",
                caption=f"../report/table_{table}.rst",
                category="Tables",
                subcategory="{source}",
                labels={"table": table},
            )
            for table in TABLES
        ],
        [
            f"results/tables/{{source}}/{table}.{suffix}"
            for table in TABLES
            for suffix in ["md", "tex"]
        ],
    log:
        "logs/tables/{source}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench tables --source {wildcards.source} --log {log}"


rule draw_figures:
    input:
        [f"results/collected/{{source}}{part}.csv" for part in COLLECTED],
    output:
        [
            report(
                f"results/figures/{{source}}/{figure}.png",
                caption=f"../report/figure_{figure}.rst",
                category="Figures",
                subcategory="{source}",
                labels={"figure": figure},
            )
            for figure in FIGURES
        ],
        [
            f"results/figures/{{source}}/{figure}.{suffix}"
            for figure in FIGURES
            for suffix in SUFFIXES
            if suffix != "png"
        ],
    log:
        "logs/figures/{source}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench figures --source {wildcards.source} --log {log}"


rule write_report:
    input:
        lambda w: tables_of("run"),
        lambda w: figures_of("run"),
        "results/claims.csv",
        claimed_files(),
        shown_kernels(),
    output:
        "results/report.html",
    log:
        "logs/report/run.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench report --source run --out {output} --log {log}"


rule write_other_report:
    input:
        lambda w: tables_of(w.source),
        lambda w: figures_of(w.source),
    output:
        "results/{source}/report.html",
    log:
        "logs/report/{source}.log",
    wildcard_constraints:
        source=names(s for s in SOURCES if s != "run"),
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench report --source {wildcards.source} --out {output} --log {log}"


rule readme:
    input:
        "results/reference/run.csv",
        "results/reference/run_methods.csv",
        "results/reference/kernels.csv",
        sorted(map(str, Path("results/reference").glob("*.csv"))),
    log:
        "logs/readme.log",
    conda:
        "../../envs/xmcbench.yaml"
    shell:
        "xmcbench readme --log {log}"
