"""Random search over recipe keys: the values of a trial are a function of (method, trial) and the space alone."""

import hashlib
import math
import random
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from xmcbench.yaml_config import STRICT


class Range(BaseModel):
    """What a searched recipe key may be: a number between two, or one of a list.

    scale: `log` draws every factor alike, `linear` every difference; both keep three digits.
    """

    model_config = STRICT

    key: str
    low: float | None = None
    high: float | None = None
    scale: Literal["log", "linear"] = "log"
    values: Annotated[list[int | float | str | bool] | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Range":
        between = self.low is not None and self.high is not None
        if between == (self.values is not None):
            raise ValueError("a searched key needs low and high, or values")
        low, high = self.low or 0.0, self.high or 0.0
        if between and (low > high or (self.scale == "log" and low <= 0)):
            raise ValueError(f"from {low} to {high}: low must not exceed high, and is > 0 on a log scale")
        return self

    def draw(self, source: random.Random) -> int | float | str | bool:
        """Return one value."""
        if self.values is not None:
            return source.choice(self.values)
        assert self.low is not None and self.high is not None
        if self.scale == "log":
            value = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = source.uniform(self.low, self.high)
        return float(f"{value:.3g}")


def draw_trial(space: dict[str, Range], method: str, trial: int) -> dict[str, Any]:
    """Return recipe key → value of a trial; trial 0 draws nothing, it is the method as it stands."""
    if trial == 0:
        return {}
    found = {}
    for name, searched in space.items():
        # Each key has its own source, so that a key more in one method's space moves none of the others.
        text = f"{method}\0{trial}\0{name}".encode()
        source = random.Random(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
        found[searched.key] = searched.draw(source)
    return found
