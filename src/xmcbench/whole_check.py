"""Every file of a configuration at once: what the workflow reads at its start, and what only single rules read."""

from pathlib import Path

from xmcbench.config_files import ConfigFile
from xmcbench.data.fetch.sources import read_sources
from xmcbench.method import require
from xmcbench.plan import Project, check_keys
from xmcbench.reporting.claims.statement import load_claims, names_of, require_known
from xmcbench.reporting.experiment_output import require_known as require_shown
from xmcbench.yaml_config import load_model


def check_all(folder: Path) -> Project:
    """Read and plan all of it; raises ConfigError in one line. Imports torch, which knows the layers."""
    project = Project(folder)
    settings = load_model(folder / "config.yaml", ConfigFile)
    project.runs(settings.grid)
    project.require_datasets(settings.raw, "raw")
    require_shown(project)
    sources = folder / "sources.tsv"
    for dataset in read_sources(sources):
        require(dataset, project.datasets, "dataset", sources)
    claims = folder / "claims.yaml"
    require_known(load_claims(claims), claims, names_of(project))
    check_keys(project.check())
    return project
