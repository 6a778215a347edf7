"""The page in a real browser: nothing is asked of a network, nothing is broken, nothing runs off a small screen."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from xmcbench.reporting.claims.statement import load_claims

from ..conftest import ROOT
from .conftest import Workflow

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
REQUIRED = os.environ.get("XMCBENCH_REQUIRE_BROWSER") == "1"
MEASURE = """<script>addEventListener("load", () => {
const root = document.documentElement, images = [...document.images];
root.dataset.measured = JSON.stringify({
  overflow: root.scrollWidth - root.clientWidth,
  images: images.length,
  broken: images.filter(i => i.naturalWidth === 0).length,
  narrow: images.filter(i => i.getBoundingClientRect().width < 250).length,
  requests: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
  rows: document.querySelectorAll("table:not(.tests) tbody tr").length,
  claims: document.querySelectorAll("table.claims tbody tr").length,
  tested: [...document.querySelectorAll("details table.tests")].filter(t => t.tBodies[0].rows.length > 0).length,
  points: document.querySelectorAll("#accuracy-memory .points path").length,
  overlaps: [...document.body.children].map(e => e.getBoundingClientRect()).filter(r => r.height > 0 && r.bottom > 0)
    .filter((r, i, all) => i > 0 && r.top < all[i - 1].bottom - 1).length,
});
parent.postMessage(root.dataset.measured, "*");});</script>"""
#: A browser window cannot be as narrow as a telephone; a frame in it can.
FRAME = """<!doctype html><iframe src="page.html" width="390" height="2000"></iframe><script>
addEventListener("message", e => { document.documentElement.dataset.measured = e.data; });</script>"""


@pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="needs Chromium (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_in_chromium(width: int, original: Workflow, tmp_path: Path) -> None:
    assert CHROMIUM, "XMCBENCH_REQUIRE_BROWSER=1, but there is no Chromium"
    page = tmp_path / "page.html"
    page.write_text((original.root / "results/report.html").read_text() + MEASURE)
    opened = page
    if width < 500:
        opened = tmp_path / "frame.html"
        opened.write_text(FRAME)
    options = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    )
    command = [
        *(
            CHROMIUM,
            *options.split(),
            "--disable-component-update",
            f"--user-data-dir={tmp_path / 'profile'}",
        ),
        *(f"--window-size={max(width, 500)},2000", "--dump-dom", opened.as_uri()),
    ]
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    found = re.search(r'data-measured="([^"]*)"', dom)
    assert found, "the page never finished loading"
    measured = json.loads(html.unescape(found[1]))
    assert measured.pop("rows") > 36
    # A line for each claim, a table of the tests of each, and a point for each of the three methods.
    claims = len(load_claims(ROOT / "config" / "claims.yaml"))
    assert measured == {
        **{"claims": claims, "tested": claims},
        **{"overflow": 0, "images": 4, "broken": 0, "narrow": 0, "requests": []},
        **{"points": 3, "overlaps": 0},
    }
