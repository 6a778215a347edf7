"""The rule `fetch`, run by Snakemake against a real server."""

import os
import subprocess
import sys
from pathlib import Path

from xmcbench.data.fetch.sources import COLUMNS

from ..conftest import ROOT
from ..unit.fetch_place import TEXTS, sha256
from ..unit.misbehaving_server import MisbehavingServer


def snakemake(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "resources/raw/set/fetched.json", *arguments],
        cwd=root,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "NO_PROXY": "127.0.0.1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_forced_fetch_brings_only_what_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "Snakefile").write_text(f'include: "{ROOT / "workflow/rules/fetch.smk"}"\n')
    with MisbehavingServer() as server:
        lines = ["\t".join(COLUMNS)]
        for name, data in TEXTS.items():
            url = server.put(f"/{name}", data)
            row = ["set", "git", "sparse_texts", name, "primary", url, "", sha256(data), "", "2026-01-31", ""]
            lines.append("\t".join(row))
        (tmp_path / "config/sources.tsv").write_text("\n".join(lines) + "\n")
        snakemake(tmp_path)
        folder = tmp_path / "resources/raw/set"
        assert {f.name: f.read_bytes() for f in folder.glob("*.txt")} == TEXTS
        assert len(server.requests) == len(TEXTS)
        (folder / "trn_X.txt").write_bytes(b"damaged")
        snakemake(tmp_path, "--forcerun", "fetch")
        assert server.requests[len(TEXTS) :] == [("/trn_X.txt", None)]
        assert {f.name: f.read_bytes() for f in folder.glob("*.txt")} == TEXTS
