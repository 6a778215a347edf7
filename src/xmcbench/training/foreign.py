"""A program of others as a reference: its interpreter runs its adapter on the same features, and we score what it ranks."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import numpy as np
import scipy.sparse as sp

from xmcbench import foreign as adapters
from xmcbench.errors import DataError, ForeignError, Interrupted
from xmcbench.recipe import ReferenceRecipe
from xmcbench.training.reference_result import Reference
from xmcbench.training.tfidf import Tfidf

#: Prints what is installed of the packages that it is given: name → version, or null.
INSTALLED = """
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""

#: Runs an adapter as a script and leaves its peak of memory. The kernel hands the parent's ru_maxrss down to a child, so
#: that the program itself must read the size that began anew with it (VmHWM; not left where there is no /proc).
LAUNCH = """
import os, runpy, sys
adapter, folder = sys.argv[1:]
sys.argv, sys.path[0] = [adapter, folder], os.path.dirname(adapter)
runpy.run_path(adapter, run_name="__main__")
if os.path.exists("/proc/self/status"):
    sizes = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
    with open(os.path.join(folder, "peak_kib"), "w") as file:
        file.write(sizes[0])
"""


@dataclass(frozen=True)
class ForeignEnvironment:
    """The interpreter of a program's own environment, and the pins (`name==version`, a line each) it was built from."""

    python: Path
    pins: Path

    def packages(self, program: str) -> dict[str, str]:
        """Return the installed versions of the pinned packages; raises ForeignError unless they are the pinned ones."""
        if not self.python.is_file():
            raise ForeignError(
                f"{self.python}: no interpreter for {program}; allowed: one that its rule built"
            )
        wanted = self._wanted()
        command = [str(self.python), "-c", INSTALLED, *wanted]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise ForeignError(f"{self.python}: cannot say what is installed: {_last_line(done.stdout)}")
        installed = json.loads(done.stdout)
        for name, version in installed.items():
            # A pin without a local part (`+cpu`) allows any, as pip has it.
            public = version.partition("+")[0] if version and "+" not in wanted[name] else version
            if public != wanted[name]:
                found = f"version {version}" if version else "not installed"
                raise ForeignError(
                    f"{self.python}: {name}: {found}; allowed: {wanted[name]} ({self.pins}); "
                    f"delete {self.python.parent.parent} and it is built again"
                )
        return dict(installed)

    def _wanted(self) -> dict[str, str]:
        if not self.pins.is_file():
            raise ForeignError(
                f"{self.pins}: no such file; allowed: the program's pins, name==version a line"
            )
        lines = [line.split("#")[0].strip() for line in self.pins.read_text(encoding="utf-8").splitlines()]
        wanted = {}
        for line in filter(None, lines):
            name, _, version = line.partition("==")
            if not name.strip() or not version.strip() or "*" in version:
                raise ForeignError(f"{self.pins}: {line!r} pins nothing; allowed: name==version")
            wanted[name.strip()] = version.strip()
        return wanted


def foreign(
    recipe: ReferenceRecipe, features: Tfidf, labels: int, k: int, environment: ForeignEnvironment | None
) -> Reference:
    """Run `recipe.program` in its own environment.

    Raises ForeignError if that is missing, holds other versions than its pins, or the program fails (its last line is in
    the message); DataError for predictions that do not fit; Interrupted if it was asked to stop, and so was the program.
    """
    assert recipe.program is not None
    if environment is None:
        raise ForeignError(f"{recipe.program}: no environment was named; allowed: one that its rule built")
    packages = environment.packages(recipe.program)
    adapter = Path(adapters.__file__).parent / f"{recipe.program}.py"
    with _stopped_with_us(recipe.program), tempfile.TemporaryDirectory(prefix="xmcbench-") as name:
        folder = Path(name)
        for file, matrix in (
            ("train", features.train_NV.astype(np.float32)),
            ("truth", features.truth_NL),
            ("test", features.test_NV),
        ):
            sp.save_npz(folder / f"{file}.npz", matrix)
        options = {"k": k, "seed": recipe.seed, "threads": recipe.threads, "options": recipe.options}
        (folder / "options.json").write_text(json.dumps(options), encoding="utf-8")
        done = subprocess.run(
            [str(environment.python), "-c", LAUNCH, str(adapter), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            raise ForeignError(
                f"{recipe.program}: ended with status {done.returncode}: {_last_line(done.stdout)}"
            )
        result = _read(folder / "prediction.npz", features.test_NV.shape[0], labels, k, recipe.program)
        peak = folder / "peak_kib"
        return replace(
            result,
            packages=packages,
            peak_rss_bytes=int(peak.read_text()) * 1024 if peak.is_file() else None,
        )


@contextmanager
def _stopped_with_us(program: str) -> Iterator[None]:
    """Let SIGTERM and SIGINT raise, so that the program is ended and its folder removed; handlers are put back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"{program}: stopped by {signal.Signals(number).name}; nothing was written")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def _read(file: Path, documents: int, labels: int, k: int, program: str) -> Reference:
    if not file.is_file():
        raise ForeignError(f"{program}: left no predictions")
    with np.load(file, allow_pickle=False) as arrays:
        label_Nk, score_Nk = arrays["label_Nk"], arrays["score_Nk"]
        numbers = {
            name: arrays[name].item()
            for name in ("parameters", "weight_bytes", "train_seconds", "predict_seconds")
        }
    if label_Nk.shape != (documents, k) or score_Nk.shape != (documents, k):
        raise DataError(f"{program}: predictions of shape {label_Nk.shape}; allowed: {documents} × {k}")
    if label_Nk.min() < -1 or label_Nk.max() >= labels:
        raise DataError(f"{program}: predicts label {label_Nk.max()}; allowed: -1 (none) … {labels - 1}")
    return Reference(label_Nk.astype(np.int32), score_Nk.astype(np.float32), **numbers)
