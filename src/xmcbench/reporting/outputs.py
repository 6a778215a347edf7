"""Names of what the reporting room makes, for the workflow; importing this draws nothing."""

import hashlib
import pkgutil
from pathlib import Path

TABLES = ["main", "tail", "bands", "data", "datasets", "groups", "memory"]
#: Every module of the figures package is a figure: a new figure is a new file.
FIGURES = sorted(
    m.name
    for m in pkgutil.iter_modules([str(Path(__file__).parent / "figures")])
    if not m.name.startswith("_")
)
#: The kernels' measurements: names of their files, on a CPU and on a GPU.
KERNELS = ("kernels", "kernels_gpu")
SUFFIXES = ["png", "svg", "pdf"]


def report_path(source: str) -> str:
    """Return the page's path: the default grid's stands at the top of results/."""
    return "results/report.html" if source == "run" else f"results/{source}/report.html"


def kernel_figures(kernels: str) -> tuple[str, ...]:
    """Return the names of the figures of one of `KERNELS`."""
    return tuple(f"{kernels}_{part}" for part in ("labels", "roofline", "crossover"))


def rooms_hash(*rooms: str) -> str:
    """Hash the sources of rooms (default: this one): an edit of a figure makes the figures anew, and nothing else."""
    digest = hashlib.sha256()
    for room in rooms or (Path(__file__).parent.name,):
        for file in sorted((Path(__file__).parent.parent / room).rglob("*")):
            if file.suffix in {".py", ".j2", ".cpp", ".hpp"}:
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
