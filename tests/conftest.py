"""Shared fixtures: the embedded data at the smoke budget, made once a session by the real steps."""

import fcntl
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from xmcbench.data.label_centroids import label_centroids
from xmcbench.data.label_groups import balanced_groups, write_groups
from xmcbench.data.prepare import prepare
from xmcbench.data.sample import sample
from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore, tokenise
from xmcbench.plan import Project, Run

ROOT = Path(__file__).parent.parent


def replace(file: Path, old: str, new: str) -> None:
    """Write `new` for every `old` of a file, which must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


#: Rooms whose files take minutes each stand first, so that all processes end at about the same time.
LONGEST = ("workflow", "reliability")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        room = item.path.parent.name
        return LONGEST.index(room) if room in LONGEST else len(LONGEST)

    items.sort(key=turn)


@dataclass(frozen=True)
class SmokeData:
    """Folders of the smoke sample of wordnet-33k."""

    prepared: Path
    sample: Path
    tokens: Path
    groups: Path


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills once: processes of one test session share it, the first makes, others wait."""
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made, part = place / name, place / f"{name}.part"
        if not made.is_dir():  # one that failed is not taken for one that is whole
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(made)
    return made


@pytest.fixture(scope="session")
def project() -> Project:
    return Project(ROOT / "config")


@pytest.fixture(scope="session")
def smoke_runs(project: Project) -> dict[str, Run]:
    """The smoke grid's runs by method."""
    return {run.method: run for run in project.runs("smoke")}


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory, project: Project) -> SmokeData:
    root = made_once(tmp_path_factory, "smoke", lambda folder: make_smoke(data_in(folder), project))
    return data_in(root)


def data_in(root: Path) -> SmokeData:
    return SmokeData(root / "prepared", root / "sample", root / "tokens", root / "groups.npy")


def lay(smoke: SmokeData, root: Path, run: Run) -> None:
    """Put the smoke data where a run of a project at root looks for it."""
    places = (
        (run.sample_folder, smoke.sample),
        (run.tokens_folder, smoke.tokens),
        (run.groups_file, smoke.groups),
    )
    for place, data in places:
        if place and not (root / place).exists():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).symlink_to(data)


def make_smoke(data: SmokeData, project: Project) -> None:
    spec = project.datasets["wordnet-33k"]
    prepare(spec, data.prepared)
    sample(data.prepared, spec, "smoke", project.sample_rule("smoke"), data.sample)
    tokenise(data.sample, data.tokens, "packaged/minilm-l6", 32, False)
    store, tokens = PreparedStore.open(data.sample), TokenStore.open(data.tokens)
    split = store.split("train")
    centroid_LV = label_centroids([split], [tokens.split("train")], store.labels, tokens.vocabulary)
    write_groups(data.groups, balanced_groups(centroid_LV, 256, seed=1), [split], seed=1)
