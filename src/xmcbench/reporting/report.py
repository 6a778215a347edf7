"""One self-contained page: tables, figures, captions, environment. It asks no network for anything."""

import base64
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape

from xmcbench.atomic import write_text
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.figures import caption
from xmcbench.reporting.group_table import groups_table
from xmcbench.reporting.outputs import FIGURES
from xmcbench.reporting.tables import data_table, main_table

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
        data = (results / "figures" / source / f"{name}.png").read_bytes()
        title = TITLES.get(name, name.replace("_", " ").capitalize())
        encoded = base64.b64encode(data).decode("ascii")
        figures.append({"title": title, "caption": caption(name), "data": encoded})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html", "j2"]),
        trim_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        partial=partial,
        summary=_summary(collected),
        main=_grid(main_table(collected)[1]),
        data=_grid(data_table(collected)[1]),
        groups=_grid(groups_table(collected)[1]),
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


def _grid(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {"columns": list(table.columns), "rows": [list(map(str, row)) for row in table.to_numpy()]}


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
