"""The documents under docs/: what stands between markers is written from results/reference/, never by hand."""

import re
from collections.abc import Mapping
from pathlib import Path

from xmcbench.atomic import write_text
from xmcbench.errors import ConfigError
from xmcbench.reporting.claims.claims_text import claims_sections, read_claims
from xmcbench.reporting.ledger_table import BLOCK, with_ledgers

CLAIMS = re.compile(r"(<!-- claims:tests -->\n).*?(<!-- claims:end -->)", re.DOTALL)


def with_numbers(document: Path, reference: Path, twins: Mapping[str, str]) -> str:
    """Return a document with what the reference files say; raises ConfigError if it has no place for it, or half of one.

    twins: method → the other with which it shares its search.
    """
    text = document.read_text(encoding="utf-8")
    blocks = len(BLOCK.findall(text)) + len(CLAIMS.findall(text))
    markers = text.count("<!-- ledger:") + text.count("<!-- claims:")
    if not blocks or markers != 2 * blocks:
        raise ConfigError(
            f"{document}: {blocks} blocks between {markers} markers; allowed: one block or more, each "
            "<!-- ledger:NAME --> … <!-- ledger:end --> or <!-- claims:tests --> … <!-- claims:end -->"
        )
    text = with_ledgers(text, reference, twins)
    return CLAIMS.sub(lambda found: f"{found[1]}{claims_sections(*read_claims(reference))}{found[2]}", text)


def rewrite_documents(folder: Path, reference: Path, twins: Mapping[str, str]) -> None:
    """Put the current numbers into every document of a folder."""
    for document in sorted(folder.glob("*.md")):
        write_text(document, with_numbers(document, reference, twins))
