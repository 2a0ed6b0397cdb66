"""What-if: what if demand doubles, prices fall, a node dies?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import jobs
from dashboard.changes import Change, as_events_write, assignments, changed_text
from dashboard.components.comparison import show_comparison, slo_badge
from dashboard.components.decision import show_verdict
from dashboard.components.job_panel import show_job
from dashboard.components.problems import show_problems
from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.faults import Fault, possible_faults
from dashboard.loading import decision, resolved, stamp
from dashboard.previews import PREVIEW_REQUESTS, preview
from dashboard.settings import settings
from simulator.bill.cents import amount
from simulator.decide.standing import met_throughout
from simulator.errors import InputError
from simulator.figures.table import figure, met_words
from simulator.run.excerpt import excerpt_of
from simulator.scenario.load import LoadedScenario

_MINUTE_S = 60.0
_BEFORE, _SHOWN = "full_run.before", "full_run.shown"
"""The last run in full with the run that it was changed from, and the run that the page showed last."""
_UNCHANGED: dict[str, float | None] = {
    **dict.fromkeys(("demand", "limits", "rent", "tokens", "server"), 1.0),
    "electricity": 0.0,
    "replicas": 0,
    "fault": None,
}
_FAULT_SHARE = 0.1
"""Of the run, in the middle of its busiest time, unless another time is chosen."""
_LEAST_FAULT_MIN = 0.1


def show(context: Context) -> None:
    """Sliders, what comes of them beside the run as it is, and the full run on request."""
    st.title("What-if")
    st.caption(
        "The shown run with a few values changed: both sides serve the same requests over the same span with the same "
        "luck, at the sizes that the run has, so that only the change differs."
    )
    _forget_changes(context)
    loaded = resolved(context.bundle)
    change = _sliders(context)
    sets = assignments(loaded, change)
    if not sets:
        show_verdict(decision(context.bundle)["verdict"])
        st.caption("Changed: nothing yet. This is the run itself, as Overview shows it.")
        _full_run(context)
        return
    try:
        found = _cached(str(context.bundle.path), stamp(context.bundle.path), tuple(sets))
    except InputError as error:
        show_problems(error)
        words = "Nothing was simulated here."
    else:
        words = _show_answer(context, found)
    st.caption(f"{words} Changed: {_words(sets)}.")
    for said in (as_events_write(loaded), _sizes_stay(context)):
        if said:
            st.caption(markdown(said))
    anew = st.checkbox("Search the sizes anew", key="what_if.anew", help="each topology at its best under the change")
    if st.button("Run in full", key="what_if.run", type="primary", icon=":material/play_arrow:"):
        text = changed_text(context.bundle.scenario_file, sets, anew)
        job = jobs.start(Path(settings().out), "scenario.yaml", text, {}, context.bundle.path)
        st.query_params["job"] = job
        st.session_state[_BEFORE] = job, context.bundle.path.name
    _full_run(context)


def _show_answer(context: Context, found: Mapping[str, Any]) -> str:
    """Verdict, cards and table of both sides; in words what they rest on."""
    show_verdict(found["words"])
    if "priced" in found:
        _show_priced(context, found["priced"])
        return "Only prices differ, so nothing is simulated: the run's own use, all of it, is billed again."
    return _show_simulated(context, found)


def _full_run(context: Context) -> None:
    """How the run in full goes; once it is done and shown, the way to compare it with the one it was changed from."""
    job = st.query_params.get("job")
    if not job:
        return
    show_job(Path(settings().out), job)
    started, before = st.session_state.get(_BEFORE, ("", ""))
    known = started == job and before in context.others
    if known and st.button(f"Compare with {before}", key="what_if.compare", icon=":material/compare_arrows:"):
        st.session_state["compare.other"] = before
        st.switch_page(st.session_state["pages"]["compare"])


def _forget_changes(context: Context) -> None:
    """Where another run is shown than before, nothing is changed of it yet."""
    name = context.bundle.path.name
    if st.session_state.get(_SHOWN, name) != name:
        for key, value in {**_UNCHANGED, "growth": _growth_percent(context)}.items():
            st.session_state[f"what_if.{key}"] = value
    st.session_state[_SHOWN] = name


@st.cache_data(max_entries=512, show_spinner="Simulating")
def _cached(folder: str, written: str, sets: tuple[str, ...]) -> dict[str, Any]:
    return preview(Path(folder), written, sets)


def _sliders(context: Context) -> Change:
    columns = st.columns(3)
    growth_now = _growth_percent(context)
    with columns[0]:
        demand = _factor("Demand", "demand", 0.25, 4.0, "requests arrive this many times as often")
        limits = _factor("SLO limits", "limits", 0.25, 4.0, "times the latency limits of every class")
        growth = st.slider(
            "Growth [% a year]",
            min(-50, growth_now),
            max(200, growth_now),
            growth_now,
            5,
            key="what_if.growth",
            bind="query-params",
            help="of the load, over the months of the study",
        )
    with columns[1]:
        rent = _factor("Price of rented GPUs", "rent", 0.25, 3.0, "times the price of the scenario")
        tokens = _factor("Price of tokens", "tokens", 0.25, 3.0, "of token APIs, times the price of the scenario")
        server = _factor("Price of servers", "server", 0.25, 3.0, "of owned pools, times the present one")
    with columns[2]:
        electricity = st.slider(
            "Electricity [$/kWh]",
            0.0,
            0.6,
            0.0,
            0.01,
            key="what_if.electricity",
            bind="query-params",
            help="0 keeps the sites'",
        )
        replicas = st.slider(
            "Replicas more or fewer",
            -4,
            8,
            0,
            key="what_if.replicas",
            bind="query-params",
            help="in every pool; at least one stays",
        )
        fault = _fault(context)
    grows = growth / 100 if growth != growth_now else None
    return Change(demand, replicas, rent, server, tokens, electricity, limits, grows, fault)


def _growth_percent(context: Context) -> int:
    return round(100 * resolved(context.bundle).scenario.study.growth_per_year)


def _factor(label: str, name: str, low: float, high: float, words: str) -> float:
    return float(st.slider(f"{label} ×", low, high, 1.0, 0.05, key=f"what_if.{name}", bind="query-params", help=words))


def _fault(context: Context) -> Fault | None:
    """What fails, and for outages when: in the busiest time unless chosen."""
    known = {fault.words: fault for fault in possible_faults(resolved(context.bundle))}
    chosen = st.selectbox(
        "What fails",
        list(known),
        index=None,
        placeholder="nothing",
        key="what_if.fault",
        bind="query-params",
    )
    if chosen is None or not (fault := known[chosen]).is_timed:
        return known.get(chosen) if chosen else None
    run_min = resolved(context.bundle).scenario.run.horizon_s / _MINUTE_S
    lasts_min = _FAULT_SHARE * run_min
    begins_min = max(_busiest_s(context) / _MINUTE_S - lasts_min / 2, 0.0)
    row = st.columns(2)
    start = row[0].number_input("from minute", 0.0, run_min, begins_min, key="what_if.from", format="%.1f")
    least = min(_LEAST_FAULT_MIN, lasts_min)
    span = row[1].number_input("for minutes", least, run_min, lasts_min, key="what_if.for", format="%.1f")
    return Fault(fault.kind, fault.target, _MINUTE_S * start, _MINUTE_S * span)


def _busiest_s(context: Context) -> float:
    """Middle of what is simulated of the run here; of a run that is not simulated here, its own middle."""
    loaded = resolved(context.bundle)
    if loaded.scenario.study.cut is not None:
        return loaded.scenario.run.horizon_s / 2
    return _peak_s(str(context.bundle.path), stamp(context.bundle.path), loaded)


@st.cache_data(max_entries=64, show_spinner="Looking for the busiest time")
def _peak_s(folder: str, written: str, _loaded: LoadedScenario) -> float:
    return excerpt_of(_loaded, PREVIEW_REQUESTS).peak_s


def _show_priced(context: Context, sides: Mapping[str, Mapping[str, Any]]) -> None:
    """Bills of both sides, whole and by what is paid for."""
    columns = st.columns(max(len(context.topologies), 1))
    for column, name in zip(columns, context.topologies, strict=True):
        before, after = sides["plain"][name], sides["changed"][name]
        with column.container(border=True):
            st.markdown(f"**{plain(name)}** {slo_badge(context.topologies[name])}")
            _money_metric(figure("usd_per_month").label, before["usd_per_month"], after["usd_per_month"])
    rows = []
    for name in context.topologies:
        was, now = (sides[side][name]["usd_by_category"] for side in ("plain", "changed"))
        for category in {**was, **now}:
            cost, then = was.get(category, 0.0), now.get(category, 0.0)
            rows.append([name, category, amount(cost), amount(then), _signed(then - cost)])
    frame = pd.DataFrame(rows, columns=["topology", "paid for", "$ per month as it is", "changed", "difference"])
    st.dataframe(frame, hide_index=True, key="what_if.table", height="content")


def _show_simulated(context: Context, found: Mapping[str, Any]) -> str:
    """Cards and table of both sides; in words what was simulated."""
    excerpt = found["excerpt"]
    money = figure("usd_per_month").label
    if not excerpt["has_all_time"]:
        st.warning(
            "Bills here are as if all hours were like the simulated ones, the busiest: take their differences as "
            "directions, and run it in full for amounts.",
            icon=":material/hourglass_top:",
        )
        money += ", all hours as busy"
    columns = st.columns(max(len(context.topologies), 1))
    for column, name in zip(columns, context.topologies, strict=True):
        before, after = found["plain"][name], found["changed"][name]
        with column.container(border=True):
            st.markdown(f"**{plain(name)}** {_badge(after, excerpt)}")
            _money_metric(money, before["cost"]["usd_per_month"], after["cost"]["usd_per_month"])
            kept = figure("slo_attainment")
            share, was = after["metrics"][kept.id], before["metrics"][kept.id]
            known = share is not None and was is not None and kept.text(share) != kept.text(was)
            st.metric(kept.label, kept.text(share), f"{100 * (share - was):+.2f} points" if known else None)
    both: dict[str, Mapping[str, Any]] = {}
    for name in context.topologies:
        both |= {f"{name} as it is": found["plain"][name], f"{name} changed": found["changed"][name]}
    show_comparison(both, "what_if.table")
    return f"Simulated on both sides: {excerpt['words']}."


def _badge(found: Mapping[str, Any], excerpt: Mapping[str, Any]) -> str:
    if not excerpt["has_all_time"]:
        return f":orange-badge[SLO not known; in the busiest time: {met_words(met_throughout(found))}]"
    return slo_badge(found)


def _money_metric(label: str, before: float, after: float) -> None:
    change = None if amount(before) == amount(after) else _signed(after - before)
    st.metric(label, amount(after), change, delta_color="inverse")


def _signed(usd: float) -> str:
    return f"{usd:+,.0f}" if abs(usd) >= 1 else f"{usd:+,.2f}" if usd else "0"


def _sizes_stay(context: Context) -> str:
    """That sizes which a search found are not searched again."""
    sized = [name for name, found in context.topologies.items() if found.get("search")]
    if not sized:
        return ""
    return f"Sizes of {', '.join(sized)} stay as they were found for the run; they are not searched anew."


def _words(sets: Sequence[str]) -> str:
    return ", ".join(f"`{assignment}`" for assignment in sets)
