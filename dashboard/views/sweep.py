"""Sweep: what if one value or two are others?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard import jobs
from dashboard.changes import RATES, changed_text
from dashboard.components.chart import show_chart
from dashboard.components.job_panel import show_job, show_others
from dashboard.components.keep import show_keeping
from dashboard.components.main_values import Value, main_values
from dashboard.components.sweep_map import show_map
from dashboard.components.table import show_table
from dashboard.components.words import plain
from dashboard.context import Context
from dashboard.limits import MAX_POINTS
from dashboard.loading import open_sweep, resolved
from dashboard.settings import settings
from dashboard.visitor import visitor
from simulator.errors import InputError
from simulator.report.cells import as_cells
from simulator.report.pareto import MEASURES, pareto_chart, slo_limit_s, sweep_points
from simulator.results.shelf import named_folders, sweep_folders
from simulator.scenario.load import LoadedScenario
from simulator.scenario.set_lines import path_text
from simulator.sweep.grid import axis
from simulator.sweep.table import notes, table

_NAMES = ("First value", "Second value")


def show(context: Context) -> None:
    """Keys and values, the sweep on its way, and what came of one."""
    st.title("Sweep")
    st.caption("What if one value or two are others? Every combination is simulated, as `servecast sweep` does it.")
    loaded = resolved(context.bundle)
    grid = _grid(loaded)
    anew = st.checkbox(
        "Search the sizes at each point anew",
        key="sweep.anew",
        help="takes longer; else all points have the sizes of the run that is shown",
    )
    out, count = Path(settings().out), math.prod(len(axis(text)[1]) for text in grid)
    if grid:
        st.caption(f"{count:,} points, {len(loaded.scenario.topologies)} topologies each.")
    if count > MAX_POINTS:
        st.warning(f"At most {MAX_POINTS} points are simulated here; `servecast sweep` has no such limit.")
    if st.button(
        "Run the sweep",
        key="sweep.run",
        type="primary",
        icon=":material/play_arrow:",
        disabled=not grid or count > MAX_POINTS,
    ):
        text = changed_text(context.bundle.scenario_file, [], anew)
        place = f"{loaded.scenario.name}.yaml"
        st.query_params["job"] = jobs.start(out, place, text, {}, context.bundle.path, grid=grid, visitor=visitor())
    job = st.query_params.get("job")
    if job:
        show_job(out, job)
    show_others(out, job)
    _results(context)


def _grid(loaded: LoadedScenario) -> list[str]:
    """Axes as the command line takes them; none where one is wrong, which is told."""
    known = {path_text(loaded.document.data, value.steps): value for value in main_values(loaded)}
    rates = [k for k, path in enumerate(known) if path.rpartition(".")[2] in RATES]
    found: dict[str, str] = {}
    is_wrong = False
    for k, name in enumerate(_NAMES):
        left, right = st.columns(2)
        path = left.selectbox(
            name,
            list(known),
            key=f"sweep.path.{k}",
            index=rates[0] if rates and not k else None,
            format_func=lambda path: _words(path, known),
            accept_new_options=True,
            placeholder="choose, or type any key as engine.max_num_seqs" if not k else "none, or choose one",
            help="any key of the scenario can be typed: docs/keys.md has them all",
        )
        if not path:
            continue
        listed = right.text_input(
            f"Its values, {name.lower()}" if k else "Its values",
            _default(known.get(path)),
            key=f"sweep.values.{k}.{path}",
            help="with commas between them",
        )
        try:
            where, _ = axis(f"{path}={listed}")
            if where in found:
                raise InputError(f"{where} is varied twice: choose another one")
            found[where] = f"{path}={listed}"
        except InputError as error:
            is_wrong = True
            st.error(plain(str(error)), icon=":material/error:")
    return [] if is_wrong else [*found.values()]


def _words(path: str, known: Mapping[str, Value]) -> str:
    value = known.get(path)
    return path if value is None else f"{value.section}, {value.label}"


def _default(value: Value | None) -> str:
    """Values around the one that holds."""
    if value is None or value.kind or isinstance(value.value, str):
        return "" if value is None else str(value.value)
    if isinstance(value.value, int):
        return ", ".join(f"{number}" for number in (value.value - 1, value.value, value.value + 1) if number > 0)
    return ", ".join(f"{value.value * factor:g}" for factor in (0.5, 1, 1.5, 2))


def _results(context: Context) -> None:
    folders = named_folders(sweep_folders(settings().places))
    if not folders:
        return
    st.header("What came of it")
    if done := st.session_state.pop("sweep.show", None):
        st.session_state["sweep.shown"] = done
    if st.session_state.get("sweep.shown") not in folders:
        st.session_state.pop("sweep.shown", None)
    name = st.selectbox("Sweep", list(folders), key="sweep.shown", bind="query-params", help="newest first")
    if name is None:
        return
    show_keeping(folders[name], _follow, "sweep.keep")
    found, paths = open_sweep(folders[name])
    show_map(name, found, paths, f"sweep.map.{name}")
    _pareto(name, found, paths, context)
    rows, headers = table(found, paths)
    show_table(as_cells(pd.DataFrame(rows, columns=headers)), key="sweep.table")
    if told := notes(found, paths):
        st.text("\n".join(told))
    text = as_cells(found).to_csv(index=False, lineterminator="\n")
    st.download_button("Table (CSV)", text, f"{name}.csv", "text/csv", on_click="ignore")


def _follow(name: str | None) -> None:
    st.session_state["sweep.show"] = name


def _pareto(name: str, found: pd.DataFrame, paths: tuple[str, ...], context: Context) -> None:
    points = sweep_points(name, found, paths)
    if not points:
        st.warning("Nothing could be simulated: the lines below say why.", icon=":material/warning:")
        return
    measure = st.selectbox(
        "Cost against",
        list(MEASURES),
        format_func=lambda key: MEASURES[key][0],
        key="sweep.measure",
        bind="query-params",
    )
    if measure is None or all(point[measure] is None for point in points):
        return
    limit = slo_limit_s(resolved(context.bundle).document.data, measure)
    chart = pareto_chart(points, measure, context.names, limit and limit[0])
    show_chart(chart, "sweep.pareto", f"cost against {MEASURES[measure][0]}, by point of the sweep")
