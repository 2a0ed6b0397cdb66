"""The same figure has the same value in every view and command, and none without meaning is shown, on unlike runs."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
from parts import few
from streamlit.testing.v1 import AppTest
from unlike_runs import UNLIKE, run_unlike

from dashboard.pages import PAGES
from dashboard.settings import Settings
from simulator.cli.main import _run
from simulator.figures.table import FIGURES, figure
from simulator.money import converted, shown_in
from simulator.report.html import render
from simulator.report.memo import memo
from simulator.report.screen import first_screen
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle

Open = Callable[..., AppTest]
Capture = pytest.CaptureFixture[str]
QUICK = ("hybrid under outages, spot with failures", "cascade", "token APIs alone", "nobody comes")
VIEWS = tuple(entry.view for entry in PAGES)
_NO_MEANING = re.compile(
    r"\b((?-i:None(?! (of|is|was)))|nan|inf|infinity|nat|undefined|timed_out|too_long|rate_limit)\b|[eE][+]\d\d|"
    r"\b0 (are|is) allowed|\b1 requests|of 0 requests|month -|[$] ?-(?![\d$])|\(\d{4,}%|[:;,] ?[;.]",
    re.IGNORECASE,
)
_SAME = re.compile(r" ±.*")


@pytest.fixture(scope="module", params=few(UNLIKE, *QUICK))
def unlike(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return run_unlike(request.param, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def in_its_currency(unlike: Bundle) -> Iterator[None]:
    with shown_in(unlike.summary.get("currency")):
        yield


def texts(app: AppTest) -> Iterator[str]:
    """Everything that a page says."""
    for kind in ("markdown", "caption", "info", "warning", "success", "error", "title", "header"):
        yield from (str(entry.value) for entry in getattr(app, kind))
    for metric in app.metric:
        yield f"{metric.label} {metric.value} {metric.delta or ''}"
    for table in app.dataframe:
        for column in table.value.columns:
            yield from (str(value) for value in table.value[column] if not _is_hole(value))


def _is_hole(value: Any) -> bool:
    """What a table of numbers draws as an empty cell."""
    return value is None or (isinstance(value, float) and pd.isna(value))


def without_meaning(said: str) -> list[str]:
    return [match.group() for match in _NO_MEANING.finditer(said)]


def plain(text: str) -> str:
    return text.replace("\\", "").replace("**", "").replace("\n", " ")


def of_cost(bundle: Bundle, name: str, topology: str) -> str:
    return figure(name).text(bundle.summary["topologies"][topology]["cost"][name])


def known_figures(bundle: Bundle) -> dict[tuple[str, str], str]:
    """What the comparison says, by label and topology, without half-widths."""
    rows, headers = comparison(ordered(bundle.summary))
    return {
        (row[0], topology): _SAME.sub("", cell)
        for row in rows
        for topology, cell in zip(headers[1:], row[1:], strict=True)
    }


def told_figures(app: AppTest, topologies: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Label, topology and value of each figure in the tables of a page that is told as that of a topology."""
    labels = {shown.label for shown in FIGURES.values()}
    for table in app.dataframe:
        frame = table.value
        if list(frame.columns) == ["figure", *topologies]:
            for topology in topologies:
                yield from (
                    (label, topology, value) for label, value in zip(frame["figure"], frame[topology], strict=True)
                )
        elif "topology" in frame and frame["topology"].is_unique:
            for label in labels & set(frame.columns):
                yield from ((label, *told) for told in zip(frame["topology"], frame[label], strict=True))


@pytest.mark.usefixtures("in_its_currency")
def test_every_view_says_what_the_run_says_and_nothing_without_meaning(
    open_view: Open, unlike: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(unlike.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((place,), place))
    known, told = known_figures(unlike), set()
    topologies = list(ordered(unlike.summary))
    metrics = {label: {known[label, name] for name in topologies} for label, _ in known}
    for view in VIEWS:
        app = open_view(view, run=unlike.path.name)
        assert not app.exception, view
        assert [error.value for error in app.error if not _is_doubt(error.value)] == [], view
        wrong = [(said, found) for said in texts(app) if (found := without_meaning(said))]
        assert wrong == [], view
        for label, topology, value in told_figures(app, topologies):
            if (label, topology) in known:
                assert _SAME.sub("", str(value)) == known[label, topology], (view, label, topology)
                told.add(view)
        for metric in app.metric:
            label = metric.label.removeprefix(":small[").removesuffix("]")
            if label in metrics:
                assert metric.value in metrics[label], (view, label)
                told.add(view)
        if view in ("overview", "what_if"):
            assert plain(app.info[0].value) == plain(unlike.decision["verdict"]), view
    assert {"overview", "sizing"} <= told


@pytest.mark.usefixtures("in_its_currency")
def test_a_what_if_holds_the_run_against_what_is_changed_of_it(
    open_view: Open, unlike: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own side has its figures, where all of it is simulated; a price changes none but those of money."""
    place = str(unlike.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((place,), place))
    known, topologies = known_figures(unlike), list(ordered(unlike.summary))
    for change in ({"what_if.tokens": "1.5"}, {"what_if.demand": "0.5"}):
        app = open_view("what_if", run=unlike.path.name, **change)
        assert not app.exception, change
        assert [error.value for error in app.error] == [], change
        assert [(said, found) for said in texts(app) if (found := without_meaning(said))] == [], change
        (whole,) = [caption.value for caption in app.caption if "Changed:" in caption.value]
        compared = set[tuple[str, str]]()
        for table in app.dataframe:
            frame = table.value
            if "figure" not in frame or "busiest" in whole:
                continue
            for name in topologies:
                for label, value in zip(frame["figure"], frame[f"{name} as it is"], strict=True):
                    if (label, name) in known:
                        assert _SAME.sub("", str(value)) == known[label, name], (change, label, name)
                        compared.add((label, name))
        assert len(compared) > 5 * len(topologies) or "Simulated on both sides: all" not in whole, whole


def _is_doubt(said: str) -> bool:
    """What Overview says of a run that the load grew beyond, in red as well."""
    return "requests" in said


@pytest.mark.usefixtures("in_its_currency")
def test_every_command_says_what_the_run_says_and_nothing_without_meaning(
    unlike: Bundle, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "")
    topologies = ordered(unlike.summary)
    rows, _ = comparison(topologies)
    short, _ = comparison(topologies, short=True)
    assert [row for row in rows if row in short] == short
    verdict = unlike.decision["verdict"]
    assert unlike.summary["verdict"] == verdict
    said = {"memo": memo(unlike), "screen": first_screen(unlike.summary, verdict), "report": words_of(render(unlike))}
    for form in ("json", "md", "table"):
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
        assert of_cost(unlike, "usd_per_month", name) in said["report"]
    assert verdict in said["memo"]
    assert verdict in said["report"]
    assert " ".join(verdict.split()) in " ".join(said["screen"].split())
    assert first_words(data["verdict"]) == first_words(verdict)
    for row in rows:
        line = next(line for line in said["memo"].splitlines() if line.startswith(f"| {row[0]} "))
        assert [cell.strip() for cell in line.strip("|").split("|")] == row


def words_of(page: str) -> str:
    """What a page of HTML says."""
    return html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style|pre)\b.*?</\1>", " ", page)))


def first_words(verdict: str) -> str:
    """Up to who is cheapest for how much: a comparison across runs knows no draws."""
    return re.split(r"[;.] ", verdict)[0].rstrip(".")


@pytest.mark.usefixtures("in_its_currency")
def test_the_workbook_adds_up_to_the_bill(unlike: Bundle) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from simulator.report.bill_xlsx import bill_workbook

    book = openpyxl.load_workbook(io.BytesIO(bill_workbook(unlike)))
    sums: dict[str, float] = {}
    for topology, *_, quantity, _unit, price, formula, _used in book["Bill"].iter_rows(min_row=2, values_only=True):
        assert formula.startswith("=E")
        sums[topology] = sums.get(topology, 0.0) + quantity * price
    for name, found in unlike.summary["topologies"].items():
        assert sums.get(name, 0.0) == pytest.approx(converted(found["cost"]["usd_per_month"]))
