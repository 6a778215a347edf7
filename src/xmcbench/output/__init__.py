"""Output layers: features x_BD to scores of L labels. One file, one idea; the file's name is its `output.kind`."""

from xmcbench.output.fixed_fan_in import FixedFanIn
from xmcbench.output.layer import OutputLayer, StepResult, build
from xmcbench.topology import RewireReport

__all__ = ["FixedFanIn", "OutputLayer", "RewireReport", "StepResult", "build"]
