"""Captions for `snakemake --report`, written into workflow/report/ from where they belong: the figure's or table's module."""

from importlib import import_module
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.reporting.experiment_output import KNOWN, module_of
from xmcbench.reporting.kernel_figures import captions
from xmcbench.reporting.outputs import FIGURES, TABLES

TABLE_CAPTIONS = {
    "main": "Accuracy on test documents, parameters, memory in training by kind, peak memory of the process, seconds.",
    "tail": "Accuracy by label-frequency band: a band counts the true labels and hits that are its own.",
    "bands": "How many labels, scored documents and true pairs each label-frequency band has.",
    "data": "Statistics of each sample, among them empty texts and documents that kept no label.",
    "datasets": "Statistics of the whole data sets, as prepared here and as published (the paper's Table 1).",
    "groups": "Sizes and purity of the label groups that runs used.",
    "memory": "What training an output layer holds, kind by kind: declared by the layer, and measured in a step.",
}
CLAIMS = "Each claim of the papers with the first of its tests, and the verdict on all of them."
WORKFLOW = (
    "Memory-efficient training for extreme multi-label classification: each method trained by one engine, scored by one "
    "rule, from the recipes in config/."
)


def caption_files() -> dict[str, str]:
    """Return file name under workflow/report/ → its text."""
    figures = {
        f"figure_{name}.rst": import_module(f"xmcbench.reporting.figures.{name}").CAPTION for name in FIGURES
    }
    tables = {f"table_{name}.rst": TABLE_CAPTIONS[name] for name in TABLES}
    experiments = {f"experiment_{name}.rst": module_of(name).CAPTION for name in KNOWN}
    kernels = {f"{name}.rst": words for name, (_, words) in captions().items()}
    texts = {"workflow.rst": WORKFLOW, "claims.rst": CLAIMS, **tables, **figures, **experiments, **kernels}
    return {name: text + "\n" for name, text in texts.items()}


def write_captions(folder: Path) -> None:
    """Write every caption."""
    for name, text in caption_files().items():
        write_text(folder / name, text)
