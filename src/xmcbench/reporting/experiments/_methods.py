"""Which methods the experiments compare, and the colours and marks they have in every figure."""

from xmcbench.reporting.style import COLOURS

#: Of tables 2 and 4, in their order.
MAIN = [
    "dense",
    "dense_aux",
    "dense_bottleneck",
    "masked_set",
    "masked_rigl",
    "fixed_fan_in_set",
    "fixed_fan_in_rigl",
    "fixed_fan_in_set_intermediate",
    "fixed_fan_in_set_aux",
]
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
COLOUR = {method: COLOURS[place] for place, method in enumerate(MAIN)}
MARKER = dict(zip(MAIN, "osD^v<>PX", strict=True))
