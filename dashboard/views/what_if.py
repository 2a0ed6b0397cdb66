"""What-if: what if demand doubles, prices fall, a node dies?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import jobs
from dashboard.changes import Change, as_events_write, assignments, changed_text, electricity_usd_per_kwh
from dashboard.components.answer import answer
from dashboard.components.comparison import show_comparison, slo_badge
from dashboard.components.decision import show_verdict
from dashboard.components.fault_time import ask_fault_time
from dashboard.components.felt import show_over_time
from dashboard.components.flow import flow
from dashboard.components.job_panel import show_job
from dashboard.components.positions import steps_back
from dashboard.components.problems import show_problems
from dashboard.components.table import show_table
from dashboard.components.typed_slider import typed_slider
from dashboard.components.words import markdown, plain
from dashboard.context import Context
from dashboard.faults import Fault, possible_faults
from dashboard.loading import decision, resolved, stamp
from dashboard.previews import kept_of
from dashboard.settings import settings
from dashboard.visitor import visitor
from simulator.decide.standing import met_throughout
from simulator.errors import InputError
from simulator.figures.table import figure, met_words
from simulator.money import amount, converted, in_sign, input_sign
from simulator.report.felt_charts import felt_over_time
from simulator.run.excerpt import peak_tokens_per_s
from simulator.run.sizes_by_month import found_by_month
from simulator.scenario.load import LoadedScenario

_MINUTE_S = 60.0
_VALUE_PX = 230
"""Least width of a slider with its field."""
_CARD_PX = 200
"""Least width of the card of a topology."""
_BEFORE, _SHOWN = "full_run.before", "full_run.shown"
"""The last run in full with the run that it was changed from, and the run that the page showed last."""
_UNCHANGED: dict[str, Any] = {
    **dict.fromkeys(("demand", "limits", "rent", "tokens", "server"), 1.0),
    "replicas": 0,
    "fault": None,
}
_FAULT_SHARE = 0.1
"""Of the run, in the middle of its busiest time, unless another time is chosen."""


def show(context: Context) -> None:
    """Sliders, what comes of them beside the run as it is, and the full run on request."""
    st.title("What-if")
    st.caption(
        "The shown run with a few values changed: both sides serve the same requests over the same span with the same "
        "luck, at the sizes that the run has, so that only the change differs."
    )
    _forget_changes(context)
    loaded = resolved(context.bundle)
    change = _values(context)
    sets = assignments(loaded, change)
    if not sets:
        show_verdict(decision(context.bundle)["verdict"])
        st.caption("Changed: nothing yet. This is the run itself, as Overview shows it.")
        _full_run(context)
        return
    try:
        found = answer(context.bundle.path, tuple(sets))
    except InputError as error:
        show_problems(error)
        words = "Nothing was simulated here."
    else:
        words = _show_answer(context, found, change.fault)
    st.caption(f"{words} Changed: {_words(sets)}.")
    for said in (as_events_write(loaded), _sizes_stay(context)):
        if said:
            st.caption(markdown(said))
    anew = st.checkbox("Search the sizes anew", key="what_if.anew", help="each topology at its best under the change")
    if st.button("Run in full", key="what_if.run", type="primary", icon=":material/play_arrow:"):
        sizes = found_by_month(loaded, decision(context.bundle))
        text = changed_text(context.bundle.scenario_file, sets, anew, sizes)
        job = jobs.start(Path(settings().out), "scenario.yaml", text, {}, context.bundle.path, visitor=visitor())
        st.query_params["job"] = job
        st.session_state[_BEFORE] = job, context.bundle.path.name
    _full_run(context)


def _show_answer(context: Context, found: Mapping[str, Any], fault: Fault | None) -> str:
    """Verdict, cards and table of both sides; in words what they rest on."""
    show_verdict(found["words"])
    if "priced" in found:
        _show_priced(context, found["priced"])
        return "Only prices differ, so nothing is simulated: the run's own use, all of it, is billed again."
    words = _show_simulated(context, found)
    _show_over_time(context, found, fault)
    return words + _lacked_words(fault, [found["changed"][name] for name in context.topologies])


def _lacked_words(fault: Fault | None, changed: Sequence[Mapping[str, Any]]) -> str:
    """That nothing looked for the machines of which there were none."""
    stock_outs = sum(pool["stockouts"] for topology in changed for pool in topology["pools"])
    if fault is None or fault.kind != "no_capacity" or stock_outs:
        return ""
    return " Nothing asked for a machine meanwhile, so that the lack of one changes nothing."


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
        for key, value in _unchanged(context).items():
            st.session_state[f"what_if.{key}"] = value
    st.session_state[_SHOWN] = name


def _values(context: Context) -> Change:
    """Everything that may be changed, dragged or typed, with the steps back."""
    start = _unchanged(context)
    paid = _electricity(context)
    with flow("what_if.values", _VALUE_PX):
        demand = _factor("Demand", "demand", 4.0, "requests arrive this many times as often")
        limits = _factor("SLO limits", "limits", 4.0, "times the latency limits of every class")
        growth_now = start["growth"]
        growth = typed_slider(
            "Growth [% a year]",
            "what_if.growth",
            (min(-50, growth_now), max(200, growth_now)),
            growth_now,
            step=5,
            typed=(-100, 100_000),
            help="of the load, over the months of the study",
        )
        rent = _factor("Price of rented GPUs", "rent", 3.0, "times the price of the scenario")
        tokens = _factor("Price of tokens", "tokens", 3.0, "of token APIs, times the price of the scenario")
        server = _factor("Price of servers", "server", 3.0, "of owned pools, times the present one")
        electricity = typed_slider(
            f"Electricity [{input_sign()}/kWh]",
            "what_if.electricity",
            (0.0, max(0.6, start["electricity"])),
            start["electricity"],
            step=0.01,
            typed=(0.0, 100.0),
            help=_electricity_words(paid),
            disabled=not paid,
        )
        replicas = typed_slider(
            "Replicas more or fewer",
            "what_if.replicas",
            (-4, 8),
            0,
            step=1,
            typed=(-10_000, 10_000),
            help="in every pool; at least one stays",
        )
    fault = _fault(context)
    keys = [f"what_if.{name}" for name in (*start, "from", "for", "share")]
    begun = {f"what_if.{name}": value for name, value in start.items()}
    steps_back("what_if", keys, begun, context.bundle.path.name)
    return Change(
        demand=demand,
        replicas=int(replicas),
        rent=rent,
        server=server,
        tokens=tokens,
        electricity_usd_per_kwh=None if electricity == start["electricity"] else electricity,
        limits=limits,
        growth_per_year=None if growth == growth_now else growth / 100,
        fault=fault,
    )


def _unchanged(context: Context) -> dict[str, Any]:
    """What each field holds where nothing is changed."""
    paid = _electricity(context)
    return {
        **_UNCHANGED,
        "growth": round(100 * resolved(context.bundle).scenario.study.growth_per_year),
        "electricity": round(fmean(paid.values()), 4) if paid else 0.0,
    }


def _electricity(context: Context) -> dict[str, float]:
    folder = context.bundle.path
    return _paid(str(folder), stamp(folder), resolved(context.bundle))


@st.cache_data(max_entries=64, show_spinner=False)
def _paid(folder: str, written: str, _loaded: LoadedScenario) -> dict[str, float]:
    return electricity_usd_per_kwh(_loaded)


def _electricity_words(paid: Mapping[str, float]) -> str:
    if not paid:
        return "of owned servers, which this run has none of"
    sites = ", ".join(f"{site} {usd:.4g}" for site, usd in paid.items())
    return f"of owned servers, as the scenario has it: {sites}; another price here is that of all sites and hours"


def _factor(label: str, name: str, high: float, words: str) -> float:
    ends = (0.25, high)
    return typed_slider(f"{label} ×", f"what_if.{name}", ends, 1.0, step=0.05, typed=(0.001, 1_000.0), help=words)


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
    if chosen is None:
        return None
    fault = known[chosen]
    if fault.kind == "limit":
        folder = context.bundle.path
        return replace(
            fault, peak_tokens_per_s=_peak_tokens_per_s(str(folder), stamp(folder), resolved(context.bundle))
        )
    if not fault.is_timed:
        return fault
    run_min = resolved(context.bundle).scenario.run.horizon_s / _MINUTE_S
    lasts_min = _FAULT_SHARE * run_min
    begins_min = max(_busiest_s(context) / _MINUTE_S - lasts_min / 2, 0.0)
    start_s, duration_s = ask_fault_time(run_min, begins_min, lasts_min, _clock_s(context))
    share = 1.0
    if fault.kind == "throttles":
        share = st.number_input("share of the calls [%]", 1, 100, 50, key="what_if.share", bind="query-params") / 100
    return replace(fault, start_s=start_s, duration_s=duration_s, share=share)


def _clock_s(context: Context) -> float:
    return float(next(iter(context.topologies.values())).get("clock_s") or 0.0)


def _busiest_s(context: Context) -> float:
    """Middle of what is simulated of the run here; of a run that is not simulated here, its own middle."""
    loaded = resolved(context.bundle)
    if loaded.scenario.study.cut is not None:
        return loaded.scenario.run.horizon_s / 2
    return _peak_s(str(context.bundle.path), stamp(context.bundle.path), loaded, decision(context.bundle))


@st.cache_data(max_entries=64, show_spinner="Looking for the busiest time")
def _peak_s(folder: str, written: str, _loaded: LoadedScenario, _decision: Mapping[str, Any]) -> float:
    return kept_of(_loaded, _decision)[0].peak_s


@st.cache_data(max_entries=64, show_spinner="Looking for the busiest time")
def _peak_tokens_per_s(folder: str, written: str, _loaded: LoadedScenario) -> float:
    return peak_tokens_per_s(_loaded)


def _show_priced(context: Context, sides: Mapping[str, Mapping[str, Any]]) -> None:
    """Bills of both sides, whole and by what is paid for."""
    cards = flow("what_if.cards", _CARD_PX)
    for name in context.topologies:
        before, after = sides["plain"][name], sides["changed"][name]
        with cards.container(border=True, height="stretch"):
            st.markdown(f"**{plain(name)}** {slo_badge(context.topologies[name])}")
            _money_metric(figure("usd_per_month").label, before["usd_per_month"], after["usd_per_month"])
    rows = []
    for name in context.topologies:
        was, now = (sides[side][name]["usd_by_category"] for side in ("plain", "changed"))
        for category in {**was, **now}:
            cost, then = was.get(category, 0.0), now.get(category, 0.0)
            rows.append([name, category, amount(cost), amount(then), _signed(then - cost)])
    frame = pd.DataFrame(
        rows, columns=["topology", "paid for", in_sign("$ per month as it is"), "changed", "difference"]
    )
    show_table(frame, key="what_if.table", height="content")


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
    cards = flow("what_if.cards", _CARD_PX)
    for name in context.topologies:
        before, after = found["plain"][name], found["changed"][name]
        with cards.container(border=True, height="stretch"):
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


def _show_over_time(context: Context, found: Mapping[str, Any], fault: Fault | None) -> None:
    """Both sides over the time of the replications, with when the fault is."""
    st.header("Over time")
    window = (fault.start_s, fault.start_s + fault.duration_s) if fault is not None and fault.is_timed else None
    sides = {
        words: {name: found[side][name]["over_time"] for name in context.topologies}
        for side, words in (("plain", "as it is"), ("changed", "changed"))
    }
    drawn = partial(felt_over_time, sides, context.names, window, _clock_s(context))
    ends = [minute for found in sides["changed"].values() for minute in (found["minutes"][0], found["minutes"][-1])]
    show_over_time(drawn, context.bundle.path.name, (min(ends), max(ends)))
    fault_words = "Shaded: while the fault lasts." if window else ""
    said = ["Waits and losses are of the requests that came then.", _replication_words(found["excerpt"]), fault_words]
    st.caption(" ".join(filter(None, said)))


def _replication_words(excerpt: Mapping[str, Any]) -> str:
    if excerpt["of"] == 1:
        return ""
    if excerpt["replications"] == 1:
        return "Of the first replication."
    words = "bands: from the smallest to the largest of them, where it is changed."
    return f"Lines: means of {excerpt['replications']} replications; {words}"


def _badge(found: Mapping[str, Any], excerpt: Mapping[str, Any]) -> str:
    if not excerpt["has_all_time"]:
        return f":orange-badge[SLO not known; in the busiest time: {met_words(met_throughout(found))}]"
    return slo_badge(found)


def _money_metric(label: str, before: float, after: float) -> None:
    change = None if amount(before) == amount(after) else _signed(after - before)
    st.metric(label, amount(after), change, delta_color="inverse")


def _signed(usd: float) -> str:
    value = converted(usd)
    return f"{value:+,.0f}" if abs(value) >= 1 else f"{value:+,.2f}" if value else "0"


def _sizes_stay(context: Context) -> str:
    """That sizes which a search found are not searched again."""
    sized = [name for name, found in context.topologies.items() if found.get("search")]
    if not sized:
        return ""
    said = f"Sizes of {', '.join(sized)} stay as they were found for the run; they are not searched anew."
    decided = decision(context.bundle)
    rows, kept = decided["topologies"], found_by_month(resolved(context.bundle), decided)
    grown = [name for name in sized if len({tuple(month["replicas"]) for month in rows[name]["months"]}) > 1]
    left = [name for name in grown if name not in kept]
    if kept:
        said += (
            f" Those of {', '.join(kept)} are those of each month, here and in a run in full, unless its sizes are "
            "searched anew."
        )
    if left:
        said += (
            f" The run's own sizes of {', '.join(left)} change over its months, here those of month 1 serve all: both "
            "sides may last shorter than the run says."
        )
    return said


def _words(sets: Sequence[str]) -> str:
    return ", ".join(f"`{assignment}`" for assignment in sets)
