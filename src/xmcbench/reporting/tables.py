"""Tables from CSV: as CSV with full numbers, as Markdown and LaTeX for reading."""

from pathlib import Path

import pandas as pd

from xmcbench.atomic import write_text
from xmcbench.evaluation.bands import ALL
from xmcbench.reporting.alignment import of_words
from xmcbench.reporting.band_tables import bands_table, tail_table
from xmcbench.reporting.collect import WHOLE, csv_text
from xmcbench.reporting.collected import Collected
from xmcbench.reporting.dataset_table import PUBLISHED, datasets_table
from xmcbench.reporting.group_table import groups_table
from xmcbench.reporting.memory_table import memory_table
from xmcbench.reporting.number_format import Format, mean, mean_sd, percent

MIB = 2**20
KS = (1, 3, 5)
#: Order of memory kinds; kinds that a new layer brings follow by name.
KINDS = ["weight", "index", "mask", "gradient", "optimizer", "scores", "scratch", "intermediate", "auxiliary"]


def write_tables(source: str, results: Path) -> None:
    """Write results/tables/{source}/{main,tail,bands,data,datasets,groups,memory}.{csv,md,tex}."""
    collected = Collected(source, results / "collected")
    folder = results / "tables" / source
    for name, (raw, shown) in all_tables(collected, results).items():
        write_text(folder / f"{name}.csv", csv_text(list(raw.columns), rows_of_frame(raw)))
        write_text(folder / f"{name}.md", markdown(shown))
        write_text(folder / f"{name}.tex", latex(shown))


def all_tables(collected: Collected, results: Path) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Return every table of a source as (numbers, text); their names are `outputs.TABLES`."""
    return {
        "main": main_table(collected),
        "tail": tail_table(collected),
        "bands": bands_table(collected),
        "data": data_table(collected),
        "datasets": datasets_table(collected, results / PUBLISHED),
        "groups": groups_table(collected),
        "memory": memory_table(collected),
    }


def main_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): methods × accuracy, parameters, memory by kind, peak memory, seconds, documents a second.

    Accuracy over all labels by the ruler `all`. Several seeds give mean ± sd (n). A failed run has a row with its reason.
    """
    run = collected.run
    cells = run[["dataset", "budget"]].drop_duplicates().sort_values(["dataset", "budget"], kind="stable")
    several = len(cells) > 1
    raw_rows, text_rows = [], []
    for dataset, budget in cells.itertuples(index=False):
        for method in collected.methods["method"]:
            its = run[(run["dataset"] == dataset) & (run["budget"] == budget) & (run["method"] == method)]
            if its.empty:
                continue
            head = {"dataset": dataset, "budget": budget, "method": method}
            text = {"Method": collected.label(method)}
            if several:
                text |= {"Data set": str(dataset), "Budget": str(budget)}
            finished = its[(its["status"] == "ok") & (its["band"] == ALL) & (its["ruler"] == ALL)]
            raw_rows.append({**head, "seeds": int(finished["seed"].nunique())})
            text_rows.append(text)
            for column, unit, metric, k, scale, form in _columns(run):
                values = finished[(finished["metric"] == metric)]
                values = values[values["k"] == k] if k is not None else values
                numbers = values["value"].astype(float) * scale
                heading = f"{column} ({unit})" if unit else column
                raw_rows[-1][heading], text[heading] = mean(numbers), mean_sd(numbers, form)
            failed = collected.failures[
                (collected.failures["method"] == method)
                & (collected.failures["dataset"] == dataset)
                & (collected.failures["budget"] == budget)
            ]
            if len(collected.failures):
                reasons = "; ".join(f"failed: {r}" for r in failed["reason"].drop_duplicates())
                raw_rows[-1]["status"] = text["Status"] = reasons or "ok"
    return pd.DataFrame(raw_rows), pd.DataFrame(text_rows).fillna("")


def data_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): statistics of every sample, among them empty texts and documents without labels."""
    frame = collected.datasets[collected.datasets["budget"] != WHOLE]
    if frame.empty:
        empty = pd.DataFrame(columns=["Statistic"])
        return empty, empty
    order = frame["statistic"].drop_duplicates()
    wide = frame.pivot_table(
        index="statistic", columns=["dataset", "budget"], values="value", aggfunc="first", sort=False
    )
    wide = wide.reindex(order)
    wide.columns = pd.Index([", ".join(map(str, pair)) for pair in wide.columns.to_list()])
    raw = wide.reset_index()
    shown = wide.map(lambda v: "" if pd.isna(v) else f"{v:,.0f}" if float(v).is_integer() else f"{v:.2f}")
    shown = shown.reset_index().rename(columns={"statistic": "Statistic"})
    return raw, shown


def markdown(table: pd.DataFrame) -> str:
    """Return a GitHub table; columns of words stand left, numbers right."""
    if table.empty:
        return "(nothing)\n"
    head = "| " + " | ".join(table.columns) + " |"
    rule = "|" + "|".join("---" if words else "---:" for words in of_words(table)) + "|"
    body = ["| " + " | ".join(str(v).replace("|", "\\|") for v in row) + " |" for row in table.to_numpy()]
    return "\n".join([head, rule, *body]) + "\n"


def latex(table: pd.DataFrame) -> str:
    """Return a booktabs tabular."""
    if table.empty:
        return "% nothing\n"
    head = " & ".join(_escape(c) for c in table.columns) + r" \\"
    body = [" & ".join(_escape(v) for v in row) + r" \\" for row in table.to_numpy()]
    columns = "".join("l" if words else "r" for words in of_words(table))
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _columns(run: pd.DataFrame) -> list[tuple[str, str, str, int | None, float, Format]]:
    """Return (heading, unit, metric, k, factor, format) of every column of the main table."""
    mib: Format = lambda v: f"{v:,.1f}"  # noqa: E731
    columns: list[tuple[str, str, str, int | None, float, Format]] = [
        (f"{metric}@{k}", "", metric, k, 1.0, percent) for metric in ("P", "nDCG", "PSP") for k in KS
    ]
    columns.append(("Parameters", "", "parameters", None, 1.0, lambda v: f"{v:,.0f}"))
    present = {m.removeprefix("memory_") for m in run["metric"].dropna() if m.startswith("memory_")} - {
        "classifier"
    }
    kinds = [k for k in KINDS if k in present] + sorted(present - set(KINDS))
    columns += [(f"Memory: {kind}", "MiB", f"memory_{kind}", None, 1 / MIB, mib) for kind in kinds]
    columns += [
        ("Classifier memory", "MiB", "memory_classifier", None, 1 / MIB, mib),
        ("Peak of the process", "MiB", "peak_rss", None, 1 / MIB, lambda v: f"{v:,.0f}"),
        *(
            [("Peak on the GPU", "MiB", "peak_device", None, 1 / MIB, mib)]
            if (run["metric"] == "peak_device").any()
            else []
        ),
        ("Epoch", "s", "epoch_seconds", None, 1.0, lambda v: f"{v:.2f}"),
        ("Test documents", "1/s", "predict_documents_per_second", None, 1.0, lambda v: f"{v:,.0f}"),
    ]
    return columns


def rows_of_frame(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Return a frame's rows for CSV, absent values as None."""
    rows: list[dict[str, object]] = []
    for record in frame.to_dict("records"):
        rows.append({str(k): None if pd.isna(v) else v for k, v in record.items()})
    return rows


def _escape(value: object) -> str:
    text = str(value).replace("\\", r"\textbackslash{}")
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character) if character not in "{}" else text
    return text.replace("±", r"$\pm$").replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")
