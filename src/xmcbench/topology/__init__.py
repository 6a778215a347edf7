"""Dynamic sparse training: when × how many × which drop × which grow."""

from xmcbench.topology.candidates import Gradient
from xmcbench.topology.mask import rewire_mask
from xmcbench.topology.topology import RewireReport, RowPlan, Topology

__all__ = ["Gradient", "RewireReport", "RowPlan", "Topology", "rewire_mask"]
