"""The command line: a path that cannot be what it is given for is one line, not a traceback."""

import re
from pathlib import Path

import pytest

from xmcbench.cli import main

from ..conftest import ROOT


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["captions", "--out", "{file}"], r"a\.txt is a file; allowed: a folder"),
        (["captions", "--out", "{file}/below"], r"below is in a file; allowed: a folder"),
        (["readme", "--readme", "{folder}"], r"a_folder is a folder; allowed: a file"),
        (["record", "--grid", "smoke", "--ledger", "{folder}"], r"a_folder is a folder; allowed: a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_path_of_the_wrong_kind_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], said: str
) -> None:
    file, folder = tmp_path / "a.txt", tmp_path / "a_folder"
    file.write_text("kept")
    folder.mkdir()
    words = [word.format(file=file, folder=folder) for word in command]
    assert main(["--config", str(ROOT / "config"), *words]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert re.search(said, line), line
    assert file.read_text() == "kept" and not list(folder.iterdir())


def test_a_run_folder_that_is_a_file_hides_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.write_text("kept")
    places = [part for name in ("run", "sample", "tokens") for part in (f"--{name}", str(run))]
    assert main(["train", "--recipe", "{}", *places]) == 2
    assert "error: --recipe: key 'dataset' is missing" in capsys.readouterr().err
    assert run.read_text() == "kept"


def test_an_error_of_ours_says_where_its_traceback_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("xmcbench.plan.Project.runs", broken)
    command = [
        "--config",
        str(ROOT / "config"),
        "rows",
        "--grid",
        "smoke",
        "--out",
        str(tmp_path / "rows.csv"),
    ]
    assert main(command) == 1
    assert "ours (--log FILE keeps the traceback)" in capsys.readouterr().err
    log = tmp_path / "rows.log"
    assert main([*command, "--log", str(log)]) == 1
    assert "ours (traceback in the log)" in capsys.readouterr().err
    assert "Traceback" in log.read_text() and not (tmp_path / "rows.csv").exists()
