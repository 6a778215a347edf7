"""The configuration as a whole."""

import argparse
import logging

from xmcbench.commands.command import Register


def register(command: Register) -> None:
    """Add the commands."""
    command("schemas", _schemas, "write the JSON schemas", "out")
    command("captions", _captions, "write the captions of snakemake --report", "out")
    command("check", _check, "check the whole configuration")


def _schemas(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.schemas import write_schemas

    write_schemas(parsed.out)


def _captions(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.reporting.captions import write_captions

    write_captions(parsed.out)


def _check(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.whole_check import check_all

    project = check_all(parsed.config)
    log.info(
        "%d methods, %d data sets, %d grids", len(project.methods), len(project.datasets), len(project.grids)
    )
