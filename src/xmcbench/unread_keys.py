"""Keys of a recipe that would change nothing are refused, so that no run is taken for another."""

from collections.abc import Set

from xmcbench.errors import ConfigError
from xmcbench.recipe_sections import Section


def require_read(section: Section, name: str, read: Set[str], reader: str) -> None:
    """Raise ConfigError if a key of a section is set to another value than its default and is not among those that are read.

    name: of the section, as a recipe spells it. reader: what reads it, for the message, as in `output.kind dense`.
    """
    for key, value in section.model_dump(exclude_defaults=True).items():
        if key not in read:
            raise ConfigError(
                f"{name}.{key}: {value!r} would change nothing, {reader} does not read it; "
                f"allowed: {', '.join(sorted(read))}"
            )
