# Parse → sample → tokens → label groups. One rule a step, for every data set and budget.


rule prepare:
    input:
        fetched,
    output:
        "resources/prepared/{dataset}/manifest.json",
    log:
        "logs/prepare/{dataset}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        # As a parameter, not a file: a comment in the YAML prepares (and so retrains) nothing.
        spec=lambda w: PROJECT.datasets[w.dataset].fingerprint("full"),
        raw=lambda w: PROJECT.datasets[w.dataset].raw_folder(
            SETTINGS.raw.get(w.dataset)
        ),
    shell:
        "xmcbench prepare --dataset {wildcards.dataset} --raw {params.raw:q} --out $(dirname {output}) --log {log}"


rule sample:
    input:
        "resources/prepared/{dataset}/manifest.json",
    output:
        "resources/samples/{budget}/{dataset}/manifest.json",
    log:
        "logs/sample/{budget}/{dataset}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        rule=lambda w: PROJECT.sample_rule(w.budget).model_dump_json(
            exclude_defaults=True
        ),
        spec=lambda w: PROJECT.datasets[w.dataset].fingerprint(w.budget),
    shell:
        "xmcbench sample --dataset {wildcards.dataset} --budget {wildcards.budget}"
        " --prepared $(dirname {input}) --out $(dirname {output}) --log {log}"


rule tokenise:
    input:
        "resources/samples/{budget}/{dataset}/manifest.json",
    output:
        "resources/tokens/{budget}/{dataset}/{tokens}/tokens.json",
    log:
        "logs/tokenise/{budget}/{dataset}/{tokens}.log",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    shell:
        "xmcbench tokenise --sample $(dirname {input}) --name {wildcards.tokens:q} --processes {threads}"
        " --out $(dirname {output}) --log {log}"


rule group:
    input:
        sample="resources/samples/{budget}/{dataset}/manifest.json",
        tokens=lambda w: f"resources/tokens/{w.budget}/{w.dataset}/{GROUP_TOKENS[w.dataset]}/tokens.json",
    output:
        groups="resources/groups/{budget}/{dataset}/{grouping}-{groups}-seed{seed}.npy",
        statistics="resources/groups/{budget}/{dataset}/{grouping}-{groups}-seed{seed}.json",
    log:
        "logs/group/{budget}/{dataset}/{grouping}-{groups}-seed{seed}.log",
    wildcard_constraints:
        grouping="semantic|random",
        groups=r"\d+",
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    shell:
        "xmcbench group --sample $(dirname {input.sample}) --tokens $(dirname {input.tokens})"
        " --grouping {wildcards.grouping} --groups {wildcards.groups} --seed {wildcards.seed}"
        " --threads {threads} --out {output.groups} --log {log}"


# Label groups come from TF-IDF of plain word pieces, whatever the encoder reads.
GROUP_TOKENS = {
    name: tokens_name("packaged/minilm-l6", spec.max_length, False)
    for name, spec in PROJECT.datasets.items()
}


for _name in PROJECT.datasets:

    rule:
        name:
            f"data_{_name}"
        input:
            f"resources/prepared/{_name}/manifest.json",
