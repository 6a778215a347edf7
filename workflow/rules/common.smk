# What the rules share: the planned runs, and names of outputs. Planning itself is xmcbench.plan.
import hashlib
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from xmcbench.config_files import ConfigFile
from xmcbench.errors import XmcbenchError
from xmcbench.forecast import host_mb, minutes
from xmcbench.plan import Project, by_folder, check_devices, tokens_name
from xmcbench.planned_run import contests_of
from xmcbench.reporting.experiment_output import files_of, require_known
from xmcbench.reporting.published import datasets_of
from xmcbench.reporting.ledger import missing, read_ledger
from xmcbench.reporting.outputs import (
    FIGURES,
    KERNELS,
    SUFFIXES,
    TABLES,
    kernel_figures,
    report_path,
    rooms_hash,
)
from xmcbench.yaml_config import load_yaml, validated

# Rules call `xmcbench` and must find the one that belongs to this Snakemake; a run that has fewer threads than there are cores
# may have others beside it, and then keeps no seconds (unless who set XMCBENCH_SHARED_MACHINE knows better).
shell.prefix(
    f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    f" ALL_CORES={workflow.cores or 0}; "
)

try:
    PROJECT = Project(Path("config"))
    # Snakemake's own loader has taken the last of a key that is there twice.
    load_yaml(Path("config/config.yaml"))
    SETTINGS = validated("config/config.yaml (or --config)", ConfigFile, dict(config))
    PROJECT.require_datasets(SETTINGS.raw, "raw")
    require_known(PROJECT)
    # `run` is the grid that config.yaml names; every grid also goes by its own name.
    SOURCES = {"run": SETTINGS.grid, **{g: g for g in PROJECT.grid_names}}
    GRIDS = {source: PROJECT.runs(grid) for source, grid in SOURCES.items()}
    RUNS = by_folder(GRIDS)
    # Of the grid that `all` makes; others may ask for a device that is elsewhere, and then each run says so itself.
    check_devices(GRIDS["run"])
except XmcbenchError as error:
    raise WorkflowError(str(error)) from None

RUNNERS = {run.recipe.runner for run in RUNS.values()}
REPORTING = rooms_hash()


def names(values):
    """A wildcard constraint that allows exactly these names."""
    return "|".join(sorted({re.escape(str(v)) for v in values}))


def methods_of(*runners):
    """A wildcard constraint that allows the methods of these runners, at any swept point: `run_of` knows the points.

    Every file pattern is compiled at every start, and the points are a thousand names.
    """
    bases = {run.base_method for run in RUNS.values() if run.recipe.runner in runners}
    return rf"(?:{names(bases)})(?:@[^/]+)?"


wildcard_constraints:
    dataset=names(PROJECT.datasets),
    budget=names(PROJECT.budgets),
    method=methods_of(*RUNNERS),
    seed=r"\d+",
    source=names(SOURCES),


def run_of(wildcards):
    folder = f"results/runs/{wildcards.budget}/{wildcards.dataset}/{wildcards.method}/seed{wildcards.seed}"
    if folder not in RUNS:
        raise WorkflowError(f"{folder}: no grid of config/grids plans this run")
    return RUNS[folder]


def fetched(wildcards):
    """What must be fetched first."""
    own = SETTINGS.raw.get(wildcards.dataset)
    needed = PROJECT.datasets[wildcards.dataset].is_fetched(own)
    return f"resources/raw/{wildcards.dataset}/fetched.json" if needed else []


RUN_FILES = ["recipe.json", "topk.npz", "timing.json", "env.json"]
ENGINE_FILES = ["model.safetensors", "history.jsonl"]


def files_read(run):
    """What a run reads, by kind."""
    files = {
        "sample": f"{run.sample_folder}/manifest.json",
        "tokens": f"{run.tokens_folder}/tokens.json",
    }
    if run.groups_file is not None:
        files["groups"] = run.groups_file
    if run.order_file is not None:
        files["order"] = run.order_file
    return files


def run_inputs(wildcards):
    return files_read(run_of(wildcards))


def contest_of(wildcards):
    """The runs that take turns under a name."""
    contests = contests_of(GRIDS[wildcards.source])
    if wildcards.contest not in contests:
        raise WorkflowError(
            f"{wildcards.contest}: no contest of the grid {SOURCES[wildcards.source]}; allowed: {', '.join(contests)}"
        )
    return contests[wildcards.contest]


def contest_inputs(wildcards):
    """What the runs of a contest read."""
    found = [files_read(run) for run in contest_of(wildcards)]
    return sorted({file for files in found for file in files.values()})


def runs_of(source):
    """Every file that the runs of a grid leave."""
    return [
        f"{run.folder}/{name}"
        for run in GRIDS[source]
        for name in [
            *RUN_FILES,
            *(ENGINE_FILES if run.recipe.runner == "train" else []),
            "metrics.json",
        ]
    ]


def collected_of(source):
    """What `collect` reads of them: if a run lost one of these, it is made again, not shown with what is left."""
    return [
        f for f in runs_of(source) if not f.endswith(("topk.npz", "model.safetensors"))
    ]


#: Ledger of results/reference/ → the grid whose finished runs it keeps.
LEDGERS = {
    "tuning": "tuning",
    "methods": "methods_seeds",
    "fidelity": "fidelity",
    "first_bias": "first_bias",
    "same_draws": "same_draws",
    "foreign": "foreign",
    "foreign_full": "foreign_full",
    "runs": "ablations_seeds",
}


def ledger_of(wildcards):
    """What is missing in a ledger."""
    rows = read_ledger(Path(f"results/reference/{wildcards.ledger}.csv"))
    return [
        f"{run.folder}/metrics.json"
        for run in missing(GRIDS[LEDGERS[wildcards.ledger]], rows)
    ]


def tables_of(source):
    return expand(
        "results/tables/{source}/{table}.{suffix}",
        source=source,
        table=TABLES,
        suffix=["csv", "md", "tex"],
    )


def figures_of(source):
    return expand(
        "results/figures/{source}/{figure}.{suffix}",
        source=source,
        figure=FIGURES,
        suffix=SUFFIXES,
    )


def report_of(source):
    return report_path(source)


def outputs_of(source):
    return [
        *runs_of(source),
        f"results/collected/{source}.csv",
        *tables_of(source),
        *figures_of(source),
        report_of(source),
    ]


def labels_of(wildcards):
    """Labels of a run's sample, as declared; of the whole set where a budget declares none, 0 where nothing does."""
    counts = PROJECT.datasets[wildcards.dataset].counts
    for budget in (run_of(wildcards).sample_budget, "full"):
        if budget in counts and counts[budget].labels:
            return counts[budget].labels
    return 0


def digest_of(path):
    """A file's hash, or nothing if it is not there: what a parameter says of a file that is no input."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def made_or_committed(own, committed):
    """This machine's own rows where they were made, else the committed ones."""
    made = Path("results/collected") / own
    return made if made.is_file() else Path("results/reference") / committed


def claimed_rows():
    """What verdicts rest on: this machine's own ablations, or the committed rows.

    A parameter and no input: claims never start training.
    """
    return made_or_committed("ablations_rows.csv", "runs.csv")


def cost_rows():
    """What steps of the paper's recipe cost on a GPU."""
    return made_or_committed("paper_cost.csv", "paper_cost.csv")


def in_turns_rows():
    """Seconds of methods that took turns."""
    return made_or_committed("seconds_in_turns.csv", "in_turns.csv")


def digest_of_recipes(runs):
    """A hash of the recipes of runs."""
    text = "".join(run.canonical_recipe for run in runs)
    return hashlib.sha256(text.encode()).hexdigest()


def shown_files(grid, folder):
    """The tables and figures of a grid's experiments, under a folder of results/experiments/."""
    return [
        f"results/experiments/{folder}/{name}"
        for name in files_of(PROJECT.shown_by(grid))
    ]


def claimed_files():
    """Tables and figures of the rows that claims rest on; none where there are no rows."""
    return shown_files("ablations", "claimed") if claimed_rows().is_file() else []


def shown_kernels():
    """The committed measurements of the kernels as the page shows them, where this copy has them."""
    return [
        f"results/experiments/kernels/{figure}.png"
        for kernels in KERNELS
        if Path(f"results/reference/{kernels}.csv").is_file()
        for figure in kernel_figures(kernels)
    ]


def published_datasets():
    """Data sets of which papers print numbers."""
    return datasets_of(Path("results/published"))


def partial_reports():
    """After a failure `collect` is never reached: build tables and report of what is there, for what was asked."""
    jobs = [job for job in workflow.dag.jobs if job.rule.name == "collect"]
    for source in sorted({job.wildcards.source for job in jobs}):
        command = [
            "xmcbench",
            "report",
            "--partial",
            "--source",
            source,
            "--grid",
            SOURCES[source],
        ]
        command += ["--out", report_of(source), "--log", f"logs/partial/{source}.log"]
        print("building a report of what is there:", report_of(source), file=sys.stderr)
        shell(shlex.join(command))
