"""The same figure has the same value in every view and command, and none without meaning is shown, on unlike runs."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings
from simulator.cli.main import _run
from simulator.figures.table import FIGURES, figure
from simulator.report.memo import memo
from simulator.report.screen import first_screen
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

Open = Callable[..., AppTest]
Capture = pytest.CaptureFixture[str]
DATA = Path(__file__).resolve().parents[1] / "data/scenarios"
SHORT = ("run.horizon_s=40", "run.warmup_s=5", "run.replications=1")
UNLIKE = {
    "faults, draws of nothing": ("troubled.yaml", ("run.horizon_s=200",)),
    "months that differ, one topology that fails": (
        "dashboard.yaml",
        (*SHORT, "study.months=6", "study.load_steps=[{from_month: 3, load: 40}]", "cost.draws=20"),
    ),
    "nobody comes": (
        "dashboard.yaml",
        (*SHORT, "workload.classes[chat].arrivals.rate_rps=0.0001", "cost.draws=0"),
    ),
    "one finite job": (
        "dashboard.yaml",
        (
            "workload.classes[chat].arrivals={kind: job, requests: 200, deadline_s: 60}",
            "workload.classes[chat].slo={}",
            "run.warmup_s=0",
            "run.replications=2",
            "cost.draws=0",
        ),
    ),
}
VIEWS = ("overview", "sizing", "break_even", "latency")
_NO_MEANING = re.compile(r"\b(nan|none|inf|infinity|nat|undefined)\b|[eE][+]\d\d", re.IGNORECASE)
_WORDS = ("none was lost", "none of", "None of")


@pytest.fixture(scope="module", params=list(UNLIKE))
def unlike(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    file, sets = UNLIKE[request.param]
    run = simulate(load_scenario(DATA / file, sets=sets), tmp_path_factory.mktemp("runs"), advise=True)
    return read_bundle(run.bundle)


def texts(app: AppTest) -> Iterator[str]:
    """Everything that a page says."""
    for kind in ("markdown", "caption", "info", "warning", "success", "error", "title", "header"):
        yield from (str(entry.value) for entry in getattr(app, kind))
    for metric in app.metric:
        yield f"{metric.label} {metric.value} {metric.delta}"
    for table in app.dataframe:
        for column in table.value.columns:
            yield from (str(value) for value in table.value[column] if not _is_hole(value))


def _is_hole(value: Any) -> bool:
    """What a table of numbers draws as an empty cell."""
    return value is None or (isinstance(value, float) and pd.isna(value))


def without_meaning(said: str) -> list[str]:
    for words in _WORDS:
        said = said.replace(words, "")
    return [match.group() for match in _NO_MEANING.finditer(said)]


def plain(text: str) -> str:
    return text.replace("\\", "").replace("**", "").replace("\n", " ")


def of_cost(summary: Mapping[str, Any], name: str) -> str:
    return figure(name).text(summary["cost"][name])


def test_every_view_says_what_the_run_says_and_nothing_without_meaning(
    open_view: Open, unlike: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(unlike.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((place,), place))
    topologies = ordered(unlike.summary)
    rows, headers = comparison(topologies)
    labels = {shown.label: shown for shown in FIGURES.values()}
    for view in VIEWS:
        app = open_view(view, run=unlike.path.name)
        assert not app.exception, view
        assert [error.value for error in app.error] == [], view
        for said in texts(app):
            assert not without_meaning(said), (view, said)
        for table in app.dataframe:
            columns = list(table.value.columns)
            if columns == ["figure", *headers[1:]]:
                assert table.value.to_numpy().tolist() == rows, view
            if "$ per month" in columns and "topology" in columns and "size is" in columns:
                shown = table.value.set_index("topology")["$ per month"]
                assert shown.to_dict() == {name: of_cost(found, "usd_per_month") for name, found in topologies.items()}
        known = {row[0]: {re.sub(r" ±.*", "", cell) for cell in row[1:]} for row in rows}
        for metric in app.metric:
            label = metric.label.removeprefix(":small[").removesuffix("]")
            if label in labels and label in known:
                assert metric.value in known[label] | {figure(labels[label].id).text(None)}, (view, label)
        if view == "overview":
            assert plain(app.info[0].value) == plain(unlike.decision["verdict"])


def test_every_command_says_what_the_run_says_and_nothing_without_meaning(unlike: Bundle, capsys: Capture) -> None:
    topologies = ordered(unlike.summary)
    rows, _ = comparison(topologies)
    short, _ = comparison(topologies, short=True)
    assert [row for row in rows if row in short] == short
    verdict = unlike.decision["verdict"]
    assert unlike.summary["verdict"] == verdict
    said = {"memo": memo(unlike), "screen": first_screen(unlike.summary, verdict)}
    for form in ("json", "md"):
        assert _run(["compare", str(unlike.path), "--format", form]) == 0
        said[form] = capsys.readouterr().out
    for name, text in said.items():
        if name != "json":
            assert not without_meaning(text), name
    data = json.loads(said["json"])
    for name, found in topologies.items():
        cost = found["cost"]
        assert data["topologies"][name]["cost"]["usd_per_month"] == cost["usd_per_month"]
        assert unlike.decision["topologies"][name]["usd_per_month"] == pytest.approx(cost["usd_per_month"])
        assert unlike.table("costs").query("topology == @name")["usd_per_month"].sum() == pytest.approx(
            cost["usd_per_month"]
        )
    assert verdict in said["memo"]
    assert " ".join(verdict.split()) in " ".join(said["screen"].split())
    assert first_words(data["verdict"]) == first_words(verdict)
    for row in rows:
        line = next(line for line in said["memo"].splitlines() if line.startswith(f"| {row[0]} "))
        assert [cell.strip() for cell in line.strip("|").split("|")] == row


def first_words(verdict: str) -> str:
    """Up to who is cheapest for how much: a comparison across runs knows no draws."""
    return re.split(r"[;.] ", verdict)[0].rstrip(".")


def test_the_workbook_adds_up_to_the_bill(unlike: Bundle) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from simulator.report.bill_xlsx import bill_workbook

    book = openpyxl.load_workbook(io.BytesIO(bill_workbook(unlike)))
    sums: dict[str, float] = {}
    for topology, *_, quantity, _unit, price, formula, _used in book["Bill"].iter_rows(min_row=2, values_only=True):
        assert formula.startswith("=E")
        sums[topology] = sums.get(topology, 0.0) + quantity * price
    for name, found in unlike.summary["topologies"].items():
        assert sums.get(name, 0.0) == pytest.approx(found["cost"]["usd_per_month"])
