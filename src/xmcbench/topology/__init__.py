"""Dynamic sparse training: when × how many × which drop × which grow."""

from xmcbench.topology.topology import RewireReport, RowPlan, Topology

__all__ = ["RewireReport", "RowPlan", "Topology"]
