"""A run bundle as one self-contained HTML page; it needs no network and its bytes depend on the bundle alone."""

from __future__ import annotations

import json
import math
import warnings as warnings_module
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, select_autoescape

from simulator.catalog.titles import in_titles, own_names
from simulator.figures.table import NONE
from simulator.money import rate_words, shown_in
from simulator.report import charts
from simulator.report.behind import tables_behind
from simulator.report.cost_charts import basis_words, cumulative_spending, items, line_items
from simulator.report.decision import (
    PAIR_HEADERS,
    decision_notes,
    grows,
    pair_rows,
)
from simulator.report.decision_charts import months_chart, volumes_chart
from simulator.report.key_words import names_of
from simulator.report.money import WIDTH, money_charts, money_notes
from simulator.report.paired import differences_chart, paired
from simulator.report.table import baseline, comparison, ordered, period_words, warnings
from simulator.report.time_charts import load_over_time, load_tables
from simulator.results.bundle import Bundle

_MOST_ROWS = 60
"""Of a table below a chart; longer ones are in the bundle."""
_WHOLE_FROM = 1000


def render(bundle: Bundle) -> str:
    """The page as text.

    Raises
    ------
    InputError : a broken bundle
    """
    with shown_in(bundle.summary.get("currency")), own_names(names_of(bundle.summary)):
        return _render(bundle)


def _render(bundle: Bundle) -> str:
    topologies = ordered(bundle.summary)
    rows, headers = comparison(topologies)
    environment = Environment(loader=PackageLoader("simulator.report"), autoescape=select_autoescape())
    return environment.get_template("report.html").render(
        summary=bundle.summary,
        verdict=in_titles(bundle.summary["verdict"]),
        manifest=json.dumps(bundle.manifest, indent=1, sort_keys=True),
        headers=headers,
        rows=rows,
        period_words=period_words(topologies),
        rate_words=rate_words(),
        warnings=[in_titles(text) for text in warnings(topologies)],
        uncalibrated=[
            name for name, found in topologies.items() if not found["calibrated"] and not found["expected_error"]
        ],
        scenario=bundle.scenario_file.read_text(encoding="utf-8"),
        vega=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
        charts=[_described(chart) for chart in _charts(bundle, topologies)],
        money_notes=money_notes(topologies),
        money_charts=[_described(chart) for chart in (*_decided(bundle, topologies), *money_charts(topologies))],
        decision_notes=[in_titles(note) for note in decision_notes(bundle.decision, topologies)],
        pair_headers=PAIR_HEADERS,
        pairs=pair_rows(bundle.decision, topologies),
    )


@dataclass(frozen=True, slots=True)
class _Described:
    """A chart with its title in words, and headers and rows of what it draws; without those of long courses."""

    spec: str
    words: str
    tables: list[tuple[list[str], list[list[str]]]]


def _described(chart: Any) -> _Described:
    written = spec(chart)
    title = json.loads(written)["title"]
    words = title if isinstance(title, str) else f"{title['text']}: {title['subtitle']}"
    tables = [
        (list(frame.columns), [[_cell(value) for value in row] for row in frame.itertuples(index=False)])
        for _, frame in tables_behind(chart)
        if len(frame) <= _MOST_ROWS
    ]
    return _Described(written, words, tables)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:,.4g}" if abs(value) < _WHOLE_FROM else f"{value:,.0f}"
    return NONE if value is None else str(value)


def _charts(bundle: Bundle, topologies: charts.Summaries) -> list[Any]:
    names = list(topologies)
    lines = items(bundle.table("costs"), topologies, "month")
    best = baseline(topologies)
    found: list[Any] = [
        charts.cost_against_attainment(topologies),
        _titled(line_items(lines, names, basis_words("month")), "Where the money goes"),
        charts.latency(topologies, "ttft_s", "Time to first token"),
        charts.latency(topologies, "tpot_s", "Time per output token"),
        charts.latency(topologies, "e2e_s", "End to end"),
        _titled(cumulative_spending(topologies, names), "Cumulative spending"),
    ]
    if differences := paired(topologies, best):
        title = f"Against {best}, replication by replication: mean and 95 % interval"
        found.append(_titled(differences_chart(differences, best, names), title))
    return found + [_load(bundle, name, topologies[name]) for name in names]


def _load(bundle: Bundle, name: str, summary: Mapping[str, Any]) -> Any:
    count = len(summary["replications"])
    said = f", means of {count} replications, bands from smallest to largest" if count > 1 else ""
    return load_over_time(load_tables(bundle.table, name, summary)).properties(title=f"Load over time: {name}{said}")


def _decided(bundle: Bundle, topologies: charts.Summaries) -> list[Any]:
    """Cost month by month where months differ, and at the loads that were tried."""
    names, found = list(topologies), []
    if grows(bundle.decision):
        found.append(_titled(months_chart(bundle.decision, names, names), "Month by month"))
    if (volumes := volumes_chart(bundle.decision, names, names)) is not None:
        found.append(_titled(volumes, "Cost at the loads that were tried"))
    return found


def _titled(chart: Any, title: str) -> Any:
    return chart.properties(title=title, width=WIDTH)


def spec(chart: alt.Chart) -> str:
    """Vega-Lite specification that is safe inside a script element."""
    with (
        alt.data_transformers.enable("default", max_rows=None, consolidate_datasets=False),
        warnings_module.catch_warnings(),
    ):
        # a chart without rows has no values to tell a column's type by
        warnings_module.filterwarnings("ignore", "I don't know how to infer vegalite type from 'empty'")
        return json.dumps(chart.configure_legend(orient="bottom").to_dict(), sort_keys=True).replace("<", "\\u003c")
