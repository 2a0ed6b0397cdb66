"""Engine: what does a step do?"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.seen_time import is_new, seen_s
from dashboard.components.standing import stand
from dashboard.components.wide_chart import show_wide
from dashboard.context import Context
from dashboard.loading import resolved, stamp
from simulator.report.charts import ZOOM
from simulator.report.engine_charts import request_life, step_timeline
from simulator.results.bundle import Bundle
from simulator.run.steps import LEAST_DEVIATION_S, NOT_SERVED_AGAIN, StepView, first_busy_s, replica_steps, replicas

_MOST_LIVES = 40
_METRIC_PX = 165
_SHOWN = "engine.shown"
_START, _LENGTH = "engine.start", "engine.seconds"
_DRAWN, _MOVES = "engine.drawn", "engine.moves"
"""What the chart was drawn for, and its time; how often a field was changed."""
_LEAST_S, _MOST_S, _PLACES = 0.1, 20.0, 2
_ZOOM_WORDS = "scrolling over the chart of steps or dragging it changes it, and the link of the page holds it"
_TENTHS = 10
"""Of a second: the field has no more digits."""


def show(context: Context) -> None:
    """Steps of one replica in a window of time, and the lives of its requests."""
    st.title("Engine")
    st.caption("What does a step do? One replica's requests of the first replication, served again step by step.")
    columns = st.columns(4)
    topology = columns[0].selectbox("Topology", list(context.topologies), key="engine.topology", bind="query-params")
    key = str(context.bundle.path), stamp(context.bundle.path)
    known = _replicas(*key, context.bundle, str(topology))
    if not known:
        st.info(
            "This topology has no replicas of its own: a token API does not show its steps.", icon=":material/cloud:"
        )
        return
    names = [f"{pool} #{number}" for pool, number in known]
    place = columns[1].selectbox("Replica", names, key="engine.replica", bind="query-params") or names[0]
    pool, number = known[names.index(place)]
    begins_s = _opens_at(context, str(topology), pool, number)
    moved: dict[str, Any] = {"bind": "query-params", "on_change": _moved}
    start_s = columns[2].number_input("From [s]", 0.0, None, begins_s, 5.0, key=_START, help=_ZOOM_WORDS, **moved)
    seconds = columns[3].slider("Length [s]", _LEAST_S, _MOST_S, 3.0, _LEAST_S, key=_LENGTH, **moved)
    name = "-".join(map(str, ("engine.timeline", st.session_state.get(_MOVES, 0), context.bundle.path.name, topology)))
    name += f"-{place}"
    drawn_for = st.session_state.get(_DRAWN)
    if drawn_for is None or drawn_for[0] != name:
        drawn_for = st.session_state[_DRAWN] = name, float(start_s or 0), seconds
    view = _steps(*key, context.bundle, str(topology), pool, number, *drawn_for[1:])
    if view.steps.empty:
        st.info("The replica was idle then; choose another time.", icon=":material/bedtime:")
        return
    _summary(view)
    show_wide(
        *(step_timeline(view.steps), "engine.timeline", "steps of the replica over time", name),
        on_select=partial(_zoomed, name),
        selection_mode=ZOOM,
    )
    st.header("Lives of requests")
    numbers = list(dict.fromkeys(view.requests["request"]))
    chosen = st.multiselect(
        "Requests",
        numbers,
        default=numbers[:8],
        key="engine.requests",
        max_selections=_MOST_LIVES,
        bind="query-params",
        help="by number in the run",
    )
    if chosen:
        lives = request_life(view.requests[view.requests["request"].isin(chosen)])
        show_chart(lives, "engine.lives", "what each request did over time")


def _moved() -> None:
    """A field was changed: the steps are served again, and the chart is drawn anew."""
    st.session_state[_MOVES] = st.session_state.get(_MOVES, 0) + 1


def _zoomed(name: str) -> None:
    """The chart was scrolled or dragged: the fields, and so the address, say what it shows.

    Within what was served it is not drawn anew, so that the mouse goes on where it is.
    """
    drawn_s, drawn_for_s = st.session_state[_DRAWN][1:]
    found = next(iter(st.session_state[name].selection.get(ZOOM, {}).values()), None)
    begin_s, end_s = (drawn_s, drawn_s + drawn_for_s) if found is None else map(float, found)
    start_s = round(max(begin_s, 0.0), _PLACES)
    st.session_state[_START] = start_s
    st.session_state[_LENGTH] = round(min(max(end_s - start_s, _LEAST_S), _MOST_S), 1)
    if start_s < drawn_s - _LEAST_S or end_s > drawn_s + drawn_for_s + _LEAST_S:
        _moved()


def _opens_at(context: Context, topology: str, pool: str, number: int) -> float:
    """Where the steps begin unless a time was chosen: at the replica's first step after the warm-up.

    Of a time that another page showed, at its first step then.
    Of another replica than before nothing is chosen yet.
    """
    key, shown = _START, (context.bundle.path.name, topology, pool, number)
    warmup_s = resolved(context.bundle).scenario.run.warmup_s
    folder = context.bundle.path
    of_replica = str(folder), stamp(folder), context.bundle, topology, pool, number
    begins_s = _first_busy_s(*of_replica, warmup_s)
    if (seen := seen_s(folder.name)) is not None and is_new(key):
        st.session_state[key] = _first_busy_s(*of_replica, max(seen[0], 0.0))
        st.session_state[_LENGTH] = round(min(max(seen[1] - seen[0], _LEAST_S), _MOST_S), 1)
    if st.session_state.setdefault(_SHOWN, shown) != shown:
        stand(key, begins_s)
    st.session_state[_SHOWN] = shown
    return begins_s


def _summary(view: StepView) -> None:
    steps = view.steps
    row = st.container(horizontal=True)
    for words, text in (
        ("Steps", f"{len(steps):,}"),
        ("Median step [ms]", f"{1e3 * steps['duration_s'].median():.2f}"),
        ("Mean requests in a step", f"{steps['sequences'].mean():.1f}"),
        ("Preempted", f"{int(steps['preempted'].sum()):,}"),
    ):
        row.metric(words, text, border=True, width=_METRIC_PX, height="stretch")
    if view.deviation_s > LEAST_DEVIATION_S:
        st.warning(
            f"Requests end up to {view.deviation_s:.3g} s apart from the run: these steps are of a replica alone, "
            f"without {NOT_SERVED_AGAIN}.",
            icon=":material/warning:",
        )


@st.cache_data(max_entries=32)
def _replicas(folder: str, written: str, _bundle: Bundle, topology: str) -> list[tuple[str, int]]:
    return replicas(_bundle, topology)


@st.cache_data(max_entries=128, show_spinner=False)
def _first_busy_s(
    folder: str, written: str, _bundle: Bundle, topology: str, pool: str, number: int, from_s: float
) -> float:
    return math.floor(_TENTHS * first_busy_s(_bundle, topology, pool, number, from_s)) / _TENTHS


@st.cache_data(max_entries=16, show_spinner="Serving again, step by step")
def _steps(
    folder: str, written: str, _bundle: Bundle, topology: str, pool: str, number: int, start_s: float, seconds: float
) -> StepView:
    return replica_steps(_bundle, topology, pool, number, start_s, seconds)
