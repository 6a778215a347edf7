# Parse → sample → tokens → label groups. One rule a step, for every data set and budget.


def raw_folder(dataset):
    """Where a data set's public files lie: the user's folder, or the one that they are fetched into."""
    return (
        SETTINGS.raw.get(dataset)
        or PROJECT.datasets[dataset].source.folder
        or f"resources/raw/{dataset}"
    )


def fetched(wildcards):
    """What must be fetched first: nothing for a packaged file or a folder of the user's own."""
    source = PROJECT.datasets[wildcards.dataset].source
    own = source.file or source.folder or wildcards.dataset in SETTINGS.raw
    return [] if own else f"resources/raw/{wildcards.dataset}/fetched.json"


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
        raw=lambda w: raw_folder(w.dataset),
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
        rule=lambda w: PROJECT.sample_rule(w.budget).model_dump_json(),
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
    shell:
        "xmcbench tokenise --sample $(dirname {input}) --name {wildcards.tokens:q}"
        " --out $(dirname {output}) --log {log}"


rule group:
    input:
        sample="resources/samples/{budget}/{dataset}/manifest.json",
        tokens=lambda w: f"resources/tokens/{w.budget}/{w.dataset}/{GROUP_TOKENS[w.dataset]}/tokens.json",
    output:
        "resources/groups/{budget}/{dataset}/{grouping}-{groups}-seed{seed}.npy",
    log:
        "logs/group/{budget}/{dataset}/{grouping}-{groups}-seed{seed}.log",
    wildcard_constraints:
        grouping="semantic|random",
        groups=r"\d+",
    conda:
        "../../envs/xmcbench.yaml"
    shell:
        "xmcbench group --sample $(dirname {input.sample}) --tokens $(dirname {input.tokens})"
        " --grouping {wildcards.grouping} --groups {wildcards.groups} --seed {wildcards.seed}"
        " --out {output} --log {log}"


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
