"""One self-contained page: tables, figures, captions, environment. It asks no network for anything."""

import base64
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from xmcbench.atomic import write_text
from xmcbench.errors import DataError
from xmcbench.evaluation.bands import MEANING
from xmcbench.reporting.alignment import of_words
from xmcbench.reporting.claims.claims_text import outcomes_text, read_claims, tests_table, value_text
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.experiment_output import KNOWN, is_figure, module_of
from xmcbench.reporting.figures import caption
from xmcbench.reporting.interactive import accuracy_memory
from xmcbench.reporting.kernel_figures import captions
from xmcbench.reporting.outputs import FIGURES
from xmcbench.reporting.tables import all_tables

TITLES = {
    "accuracy_memory": "Accuracy against memory",
    "learning_curves": "Learning curves",
    "gradient_norm": "Gradient that reaches the encoder",
    "feature_variance": "Feature variance",
}


def write_report(source: str, results: Path, out: Path, partial: bool = False) -> None:
    """Write the page of a source. partial: say on top that runs are missing."""
    collected = Collected(source, results / "collected")
    figures = []
    for name in FIGURES:
        title = TITLES.get(name, name.replace("_", " ").capitalize())
        data = _embedded(results / "figures" / source / f"{name}.png")
        figures.append({"title": title, "caption": caption(name), "data": data})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html", "j2"]),
        trim_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        partial=partial,
        summary=_summary(collected),
        interactive=accuracy_memory(collected),
        claims=_claims(results) if source == "run" else [],
        experiments=_experiments(results / "experiments" / "claimed") if source == "run" else [],
        kernels=drawn_kernels(results / "experiments" / "kernels") if source == "run" else [],
        tables={name: _grid(shown) for name, (_, shown) in all_tables(collected, results).items()},
        bands=MEANING,
        failures=_records(collected.failures, collected),
        figures=figures,
        methods=collected.methods.fillna("").to_dict("records"),
        environment=_environment(collected.environment),
    )
    write_text(out, page)


def _summary(collected: Collected) -> dict[str, Any]:
    run = collected.run
    return {
        "datasets": ", ".join(sorted(run["dataset"].unique())),
        "budgets": ", ".join(sorted(run["budget"].unique())),
        "seeds": int(run["seed"].nunique()),
        "methods": int(run["method"].nunique()),
    }


def _claims(results: Path) -> list[dict[str, Any]]:
    """Return the verdicts that `xmcbench claims` wrote, each with its tests; none before it did."""
    claims, tests = read_claims(results)
    return [
        {
            **claim,
            "shown": value_text(claim),
            "outcomes": outcomes_text(claim),
            "kind": claim["verdict"].replace(" ", "-"),
            "tests": _grid(tests_table([t for t in tests if t["id"] == claim["id"]])),
        }
        for claim in claims
    ]


def _experiments(folder: Path) -> list[dict[str, Any]]:
    """Return what `xmcbench experiments` wrote of the rows that claims rest on, tables before figures."""
    found: list[dict[str, Any]] = []
    for name in sorted(KNOWN, key=is_figure):
        file = folder / f"{name}.{'png' if is_figure(name) else 'md'}"
        if file.is_file():
            module = module_of(name)
            shown = {"title": module.TITLE, "caption": module.CAPTION, "table": None, "data": None}
            if is_figure(name):
                shown["data"] = _embedded(file)
            else:
                shown["table"] = _grid(read_markdown(file.read_text(encoding="utf-8")))
            found.append(shown)
    return found


def drawn_kernels(folder: Path) -> list[dict[str, str]]:
    """Return the figures of the kernels' committed measurements, where they have been drawn."""
    return [
        {"title": title, "caption": words, "data": _embedded(file)}
        for name, (title, words) in captions().items()
        if (file := folder / f"{name}.png").is_file()
    ]


def _embedded(image: Path) -> str:
    """Return an image as the page carries it; raises DataError where it has not been drawn."""
    if not image.is_file():
        raise DataError(f"{image}: missing; draw the figures first")
    return base64.b64encode(image.read_bytes()).decode("ascii")


def read_markdown(text: str) -> pd.DataFrame:
    """Return the table that `tables.markdown` wrote; an empty one for "(nothing)"."""
    lines = [line.strip("|").strip() for line in text.splitlines() if line.startswith("|")]
    cells = [[c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)] for line in lines]
    return pd.DataFrame(cells[2:], columns=cells[0]) if cells else pd.DataFrame()


def _grid(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {
        "columns": list(zip(table.columns, of_words(table), strict=True)),
        "rows": [list(map(str, row)) for row in table.to_numpy()],
    }


def _records(failures: pd.DataFrame, collected: Collected) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for row in failures.to_dict("records"):
        records.append({**{str(k): v for k, v in row.items()}, "label": collected.label(str(row["method"]))})
    return records


def _environment(frame: pd.DataFrame) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (str(hardware), [(str(r.key), str(r.value)) for r in rows.itertuples()])
        for hardware, rows in frame.groupby("hardware", sort=True)
    ]
