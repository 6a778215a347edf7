"""Filter files of the label-feature sets: pairs (row, label) that must not be predicted."""

import math

import numpy as np

from xmcbench.data.formats.folder import Folder
from xmcbench.errors import DataError


def read_filter(folder: Folder, *names: str, rows: int, labels: int) -> np.ndarray | None:
    """Return F×2 (int64) distinct pairs (row, label) in rising order; None if there is no such file.

    The repository writes integers as floats (`5.4e+04`): they are read as such and must be whole. An empty file is an
    empty filter. Raises DataError naming file and line for anything but two whole numbers within rows × labels.
    """
    path = folder.optional(*names)
    if path is None:
        return None
    pairs: list[tuple[int, int]] = []
    if path.stat().st_size:
        for number, line in folder.lines(path):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            fields = line.split()
            if len(fields) != 2:
                raise DataError(f"{place}: {len(fields)} fields; allowed: two, a row and a label")
            row, label = _whole(fields[0], place), _whole(fields[1], place)
            if not 0 <= row < rows:
                raise DataError(f"{place}: row {row}; allowed: 0 … {rows - 1}")
            if not 0 <= label < labels:
                raise DataError(f"{place}: label {label}; allowed: 0 … {labels - 1}")
            pairs.append((row, label))
    return np.unique(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=0)


def _whole(text: str, place: str) -> int:
    try:
        value = int(text) if text.lstrip("+-").isdecimal() else float(text)
    except ValueError as error:
        raise DataError(f"{place}: {text!r} is no number") from error
    if not math.isfinite(value) or value != int(value) or abs(value) > 2**53:
        raise DataError(f"{place}: {text!r} is no whole number")
    return int(value)
