# Public files of a data set, checked and unpacked; where they come from is in config/sources.tsv.


rule fetch:
    output:
        # `update`: the record stays while the job runs, so that files which are there and right are not fetched again.
        # The list of sources is no input: a new mirror in it must not fetch, prepare and train everything once more.
        update("resources/raw/{dataset}/fetched.json"),
    log:
        "logs/fetch/{dataset}.log",
    conda:
        "../../envs/xmcbench.yaml"
    shell:
        "xmcbench fetch --dataset {wildcards.dataset} --out {output} --log {log}"
