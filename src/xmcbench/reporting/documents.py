"""The documents under docs/: what stands between markers is written from results/reference/, never by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.errors import ConfigError
from xmcbench.reporting.claims.claims_text import claims_sections, read_claims
from xmcbench.reporting.kernel_tables import gpu_tables, kernel_tables, machine_tables, other_machines
from xmcbench.reporting.ledger_table import BLOCK, with_ledgers

CLAIMS = re.compile(r"(<!-- claims:tests -->\n).*?(<!-- claims:end -->)", re.DOTALL)
KERNELS = re.compile(r"(<!-- kernels:(cpu|others|gpu) -->\n).*?(<!-- kernels:end -->)", re.DOTALL)


def with_numbers(document: Path, reference: Path, twins: Mapping[str, str]) -> str:
    """Return a document with what the reference files say; raises ConfigError if it has no place for it, or half of one.

    twins: method → the other with which it shares its search.
    """
    text = document.read_text(encoding="utf-8")
    blocks = sum(len(block.findall(text)) for block in (BLOCK, CLAIMS, KERNELS))
    markers = sum(text.count(f"<!-- {kind}:") for kind in ("ledger", "claims", "kernels"))
    if not blocks or markers != 2 * blocks:
        raise ConfigError(
            f"{document}: {blocks} blocks between {markers} markers; allowed: one block or more, each "
            "<!-- ledger:NAME --> … <!-- ledger:end -->, <!-- claims:tests --> … <!-- claims:end --> or "
            "<!-- kernels:cpu|others|gpu --> … <!-- kernels:end -->"
        )
    text = with_ledgers(text, reference, twins)
    text = KERNELS.sub(lambda found: f"{found[1]}{_kernels(found[2], reference)}{found[3]}", text)
    return CLAIMS.sub(lambda found: f"{found[1]}{claims_sections(*read_claims(reference))}{found[2]}", text)


def _kernels(machines: str, reference: Path) -> str:
    if machines == "others":
        return machine_tables(other_machines(reference))
    name, tables = ("kernels.csv", kernel_tables) if machines == "cpu" else ("kernels_gpu.csv", gpu_tables)
    source = reference / name
    return tables(source) if source.is_file() else "Nothing was measured yet.\n"


def rewrite_documents(folder: Path, reference: Path, twins: Mapping[str, str]) -> None:
    """Put the current numbers into every document of a folder."""
    for document in sorted(folder.glob("*.md")):
        write_text(document, with_numbers(document, reference, twins))
