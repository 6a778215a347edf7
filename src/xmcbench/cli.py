"""The thin command line that workflow rules call: one command a step, heavy imports inside the commands."""

import argparse
import contextlib
import logging
import os
import select
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from xmcbench.commands import data, judging, keeping, measuring, project, showing, training
from xmcbench.errors import Interrupted, XmcbenchError

#: A path that was given is a folder where a file belongs, or the other way round, or is not ours to use.
NOT_THAT_PATH = {
    IsADirectoryError: "is a folder; allowed: a file",
    NotADirectoryError: "is in a file; allowed: a folder",
    FileExistsError: "is a file; allowed: a folder",
    PermissionError: "may not be read or written here",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 2 a mistake that one line explains, 1 anything else."""
    parsed = _parser().parse_args(arguments)
    log = _logger(getattr(parsed, "log", None))
    try:
        parsed.command(parsed, log)
        sys.stdout.flush()
    except XmcbenchError as error:
        _failed(parsed, error)
        log.error("error: %s", error)
        return 2
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 1
        _failed(parsed, error)
        log.debug("%s", traceback.format_exc())
        if (mistake := _path_mistake(error)) is not None:
            log.error("error: %s", mistake)
            return 2
        # Anything else is ours: keep the traceback where it can be found.
        where = "traceback in the log" if getattr(parsed, "log", None) else "--log FILE keeps the traceback"
        log.error("error: %s: %s (%s)", type(error).__name__, error, where)
        return 1
    return 0


def _path_mistake(error: Exception) -> str | None:
    """Return what is wrong with a path that an operation named, if that is the error; of a rename's two, the one asked for."""
    if isinstance(error, OSError) and (path := error.filename2 or error.filename):
        return next(
            (f"{path} {said}" for kind, said in NOT_THAT_PATH.items() if isinstance(error, kind)), None
        )
    return None


def _nobody_reads() -> bool:
    """Tell whether who read our output has stopped (`… | head`); Python's own last flush is then silent, too."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    stopped = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if stopped:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return stopped


def _failed(parsed: argparse.Namespace, error: BaseException) -> None:
    """Leave the reason of a failed run where the partial report finds it; a requested stop is no failure."""
    if getattr(parsed, "leaves_reason", False) and not isinstance(error, Interrupted):
        from xmcbench.atomic import write_json

        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Where the run's folder cannot be, neither can its reason; the error itself is what to tell.
        with contextlib.suppress(OSError):
            write_json(parsed.run / "failed.json", {"reason": reason})


def _logger(file: Path | None) -> logging.Logger:
    """Log lines to the console and, with tracebacks, to the rule's log file."""
    log = logging.getLogger("xmcbench")
    log.setLevel(logging.DEBUG)
    log.handlers.clear()
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO)
    console.setFormatter(logging.Formatter("xmcbench: %(message)s"))
    log.addHandler(console)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
    return log


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xmcbench", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config"), help="configuration folder")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str, *paths: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        sub.add_argument("--log", type=Path, default=None, help="log file")
        for path in paths:
            sub.add_argument(f"--{path}", type=Path, required=True)
        return sub

    for module in (data, training, showing, judging, keeping, measuring, project):
        module.register(command)
    return parser
