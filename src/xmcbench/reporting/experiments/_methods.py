"""Which methods the experiments compare, and what they are called there."""

from xmcbench.reporting import looks

MAIN = list(looks.MAIN)
#: Short names for the ends of curves.
SHORT = {
    "dense": "dense",
    "dense_aux": "dense + auxiliary",
    "dense_bottleneck": "dense bottleneck",
    "masked_set": "masked SET",
    "masked_rigl": "masked RigL",
    "fixed_fan_in_set": "fixed fan-in",
    "fixed_fan_in_rigl": "fixed fan-in RigL",
    "fixed_fan_in_set_intermediate": "+ intermediate layer",
    "fixed_fan_in_set_aux": "+ auxiliary",
}
COLOUR = {method: looks.colour(method) for method in MAIN}
MARKER = looks.MAIN
