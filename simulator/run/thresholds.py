"""Whether a pool whose overflow passes it by early would take more for less: other thresholds, tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from simulator.errors import InputError
from simulator.money import money
from simulator.resolve.sizes import alone
from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import Loads
from simulator.run.months import Journey
from simulator.run.priced import first_month_usd
from simulator.scenario.load import LoadedScenario
from simulator.schema.routing import OverflowRouting, OverflowWhen
from simulator.simulate.priced import Priced
from simulator.simulate.store import Store
from simulator.size.advice import MOST_REQUESTS, WORTH_SAYING
from simulator.size.trials import Trials, Tried

_FACTORS = (2.0, 4.0, 8.0, 16.0)
"""Times the thresholds that are written, one after the other until they cost no less or miss the SLO; where it is
missed as written, from the first that meets it on."""
_FIRST = 0.5
"""Of a threshold of none, what is multiplied."""


def threshold_words(
    planned: PlannedTopology,
    metrics: Mapping[str, Any],
    priced: Priced,
    journey: Journey,
    loads: Loads,
    store: Store,
) -> list[str]:
    """That thresholds of an overflow keep requests away from pools that would serve them for less, and which would not.

    The rule is the scenario's and stays. A few higher thresholds are tried in the first month, at the same sizes; empty
    where none of them meets the SLO for a hundredth less. Where it is not met as written, any that meets it is told.

    Parameters
    ----------
    metrics : of the requests that are shown
    priced, journey : the topology as it is
    """
    routing, meets, overflow_share = planned.settings.routing, journey.months[0].meets, metrics["overflow_share"]
    requests = sum(one.demand.requests for one in loads.first_month)
    if not isinstance(routing, OverflowRouting) or not overflow_share or meets is None or not planned.settings.pools:
        return []
    written = _given(routing.when)
    if not written or requests > MOST_REQUESTS:
        return []
    best: tuple[OverflowWhen, Tried] | None = None
    for when in _higher(routing.when):
        tried = _at(planned, routing, when, loads, store)
        if tried is None or (tried.word != "met" and (meets or best is not None)):
            break
        if tried.word != "met":
            continue
        if best is not None and tried.usd_per_month >= best[1].usd_per_month:
            break
        best = when, tried
    if best is None:
        return []
    usd = first_month_usd(priced)
    was, found = sum(usd) / len(usd), best[1].usd_per_month
    if meets and not found < (1 - WORTH_SAYING) * was:
        return []
    keys = ", ".join(f"routing.when.{key}={value:g}" for key, value in _given(best[0]).items())
    away = f"the overflow at {_words(written)} keeps {overflow_share:.1%} of the requests away from its first choice"
    so = f"{1 - found / was:.0%} less" if meets else "and meet the SLO, which they miss as written"
    months = " in month 1" if len(set(map(loads.horizon.asked, loads.horizon.numbers))) > 1 else ""
    at = f"at {_words(_given(best[0]))} the same sizes cost {money(found)} per month{months}"
    return [f"{away}; {at}, {so} ({keys})"]


def _given(when: OverflowWhen) -> Mapping[str, float]:
    found = when.model_dump()
    return {key: value for key, value in found.items() if value is not None and not (key == "kv_usage" and value == 1)}


def _words(thresholds: Mapping[str, float]) -> str:
    named = {
        "waiting_per_replica": "{:g} waiting per replica",
        "outstanding_per_replica": "{:g} outstanding per replica",
        "kv_usage": "{:.1%} of the KV blocks",
    }
    return " or ".join(named[key].format(value) for key, value in thresholds.items())


def _higher(when: OverflowWhen) -> Iterator[OverflowWhen]:
    for factor in _FACTORS:
        changed = {
            key: 1 - (1 - value) / factor if key == "kv_usage" else (value or _FIRST) * factor
            for key, value in _given(when).items()
        }
        yield when.model_copy(update=changed)


def _at(
    planned: PlannedTopology, routing: OverflowRouting, when: OverflowWhen, loads: Loads, store: Store
) -> Tried | None:
    """None where it cannot be planned."""
    changed = planned.settings.model_copy(update={"routing": routing.model_copy(update={"when": when})})
    loaded = _with(planned.loaded, planned.name, changed)
    try:
        return Trials(alone(loaded, planned.name), planned.name, (), loads.first_month, store)(())
    except InputError:
        return None


def _with(loaded: LoadedScenario, name: str, topology: object) -> LoadedScenario:
    topologies = {**loaded.scenario.topologies, name: topology}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))
