"""The name under which a machine's seconds stand."""

import pytest

from xmcbench.training.hardware import cpu_name, environment

CORE = "processor\t: 0\nvendor_id\t: X\ncpu family\t: 25\nmodel\t\t: {model}\nmodel name\t: {name}\nstepping\t: 1\n\n"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("AMD EPYC", "AMD EPYC family 25 model 17"),
        ("Intel(R) Xeon(R) Processor", "Intel(R) Xeon(R) Processor family 25 model 17"),
        ("AMD EPYC 9554 64-Core Processor", "AMD EPYC 9554 64-Core Processor"),
    ],
)
def test_a_name_that_hides_the_model_gets_its_numbers(name: str, shown: str) -> None:
    info = CORE.format(model=17, name=name)
    assert cpu_name(info) == shown
    assert cpu_name(info + CORE.format(model=99, name="another core's")) == shown
    assert cpu_name(CORE.format(model=1, name="AMD EPYC")) != cpu_name(CORE.format(model=17, name="AMD EPYC"))


def test_without_numbers_or_a_name_nothing_is_made_up() -> None:
    assert cpu_name("model name : AMD EPYC\n") == "AMD EPYC"
    assert cpu_name("processor : 0\nBogoMIPS : 50\n") == ""


def test_this_machine_has_a_name() -> None:
    told = environment("cpu")
    assert told["cpu"] and told["hardware"].endswith(f"{told['cores']}-cores")
