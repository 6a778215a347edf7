# The synthetic data set beside real ones: how often labels occur.
REALISM = {
    "prepared": ["wordnet-33k", "debian-deps-42k"],
    "like": ["amazon670k", "wiki500k", "amazon3m"],
}


rule label_frequencies:
    input:
        [f"resources/prepared/{name}/manifest.json" for name in REALISM["prepared"]],
    output:
        "results/collected/synthetic_realism.csv",
    log:
        "logs/scale/label_frequencies.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        prepared=[f"resources/prepared/{name}" for name in REALISM["prepared"]],
        like=REALISM["like"],
        code=rooms_hash("data"),
    shell:
        "xmcbench label-frequencies --prepared {params.prepared} --like {params.like} --out {output} --log {log}"


rule draw_label_frequencies:
    input:
        "results/collected/synthetic_realism.csv",
    output:
        [f"results/figures/scale/synthetic_realism.{suffix}" for suffix in SUFFIXES],
    log:
        "logs/scale/frequency_figure.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        code=REPORTING,
    shell:
        "xmcbench frequency-figure --log {log}"


rule synthetic_realism:
    input:
        rules.draw_label_frequencies.output,
