# Train and score. The recipe comes in as a parameter: comments in YAML retrain nothing, a changed value only its run.
# `threads: workflow.cores` keeps everything else off the machine while a run is timed; the recipe fixes torch's threads. With
# fewer (`--set-threads train=2`) runs train side by side, and keep no seconds.
# Checkpoints live in the run folder and are nobody's output, so that a killed job loses nothing.


rule train:
    input:
        unpack(run_inputs),
    output:
        [
            f"results/runs/{{budget}}/{{dataset}}/{{method}}/seed{{seed}}/{f}"
            for f in [*RUN_FILES, *ENGINE_FILES]
        ],
    log:
        "logs/train/{budget}/{dataset}/{method}/seed{seed}.log",
    wildcard_constraints:
        method=methods_of("train"),
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    resources:
        gpu=lambda w: int(run_of(w).recipe.training.device == "cuda"),
        mem_mb=lambda w: host_mb(run_of(w).recipe, labels_of(w)),
        runtime=lambda w: minutes(
            PROJECT.datasets[w.dataset].paper_hours, PROJECT.budgets[w.budget].paper
        ),
    params:
        run=lambda w: run_of(w).folder,
        recipe=lambda w: run_of(w).canonical_recipe,
        groups=lambda w: (
            f"--groups {run_of(w).groups_file}" if run_of(w).groups_file else ""
        ),
        order=lambda w: (
            f"--order {run_of(w).order_file}" if run_of(w).order_file else ""
        ),
    shell:
        "XMCBENCH_SHARED_MACHINE=${{XMCBENCH_SHARED_MACHINE:-$(({threads} < ALL_CORES))}}"
        " xmcbench train --recipe {params.recipe:q} --run {params.run}"
        " --sample $(dirname {input.sample}) --tokens $(dirname {input.tokens}) {params.groups} {params.order} --log {log}"


rule reference:
    input:
        unpack(run_inputs),
    output:
        [
            f"results/runs/{{budget}}/{{dataset}}/{{method}}/seed{{seed}}/{f}"
            for f in RUN_FILES
        ],
    log:
        "logs/reference/{budget}/{dataset}/{method}/seed{seed}.log",
    wildcard_constraints:
        method=methods_of(*RUNNERS - {"train", "foreign"}),
    conda:
        "../../envs/xmcbench.yaml"
    threads: workflow.cores
    params:
        run=lambda w: run_of(w).folder,
        recipe=lambda w: run_of(w).canonical_recipe,
    shell:
        "XMCBENCH_SHARED_MACHINE=${{XMCBENCH_SHARED_MACHINE:-$(({threads} < ALL_CORES))}}"
        " xmcbench train --recipe {params.recipe:q} --run {params.run}"
        " --sample $(dirname {input.sample}) --tokens $(dirname {input.tokens}) --log {log}"


rule score:
    input:
        run="results/runs/{budget}/{dataset}/{method}/seed{seed}/topk.npz",
        sample=lambda w: f"{run_of(w).sample_folder}/manifest.json",
    output:
        "results/runs/{budget}/{dataset}/{method}/seed{seed}/metrics.json",
    log:
        "logs/score/{budget}/{dataset}/{method}/seed{seed}.log",
    conda:
        "../../envs/xmcbench.yaml"
    params:
        # A new metric scores what is stored again, and trains nothing.
        code=rooms_hash("evaluation"),
    shell:
        "xmcbench score --run $(dirname {input.run}) --sample $(dirname {input.sample}) --log {log}"
