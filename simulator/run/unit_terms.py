"""Units of throughput whose terms run on after an event that writes fewer: paid for, they let tokens through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from simulator.bill.units import units_there
from simulator.resolve.sizes import AUTO
from simulator.run.left_open import spans
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_month, over_time
from simulator.schema.provider import Provider
from simulator.study.decision import Walked

Running = Mapping[str, float]
"""Units of each token API that has more of them than are written."""


def running_units(loaded: LoadedScenario, name: str, walked: Sequence[Walked]) -> Sequence[Running]:
    """Of each month of the study the token APIs of a topology that have more units than are written then.

    Not one whose limit is written, or that does not say any more what a unit lets through.

    Parameters
    ----------
    walked : months so far, with the units that were found for them
    """
    count = math.ceil(loaded.scenario.study.months)
    if not any(api.term_months for one in over_time(loaded.scenario, name) for api in one.providers):
        return [{}] * count
    known = {
        one.month: dict(zip(one.units, one.sizes[len(one.sizes) - len(one.units) :], strict=True)) for one in walked
    }
    months = [_by_name(loaded, name, month + 1) for month in range(count)]
    running: list[dict[str, float]] = [{} for _ in months]
    for api in dict.fromkeys(api for there in months for api in there):
        wanted = [_wanted(there.get(api), known.get(month, {})) for month, there in enumerate(months, start=1)]
        for there, found, units, (written, _) in zip(months, running, units_there(wanted), wanted, strict=True):
            if api in there and units > written and _goes_by_units(there[api]):
                found[api] = units
    return running


def with_running(loaded: LoadedScenario, name: str, running: Running) -> LoadedScenario:
    """The scenario with the token APIs of a topology at the limit of all units that run, where that is written."""
    topology = loaded.scenario.topologies[name]
    providers = tuple(_with_limit(api, running.get(api.name)) for api in topology.providers)
    changed = topology.model_copy(update={"providers": providers})
    topologies = {**loaded.scenario.topologies, name: changed}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))


def running_words(loaded: LoadedScenario, name: str, walked: Sequence[Walked]) -> list[str]:
    """What is said of units that run on; arguments as `running_units`."""
    found: list[str] = []
    first = 1
    for running, group in groupby(running_units(loaded, name, walked)):
        last = first + len(list(group)) - 1
        found += [
            f"{spans(range(first, last + 1))}: {units:g} units of {api} are there, since terms that are paid run on"
            for api, units in running.items()
        ]
        first = last + 1
    return found


def _by_name(loaded: LoadedScenario, name: str, month: int) -> dict[str, Provider]:
    return {api.name: api for api in at_month(loaded.scenario, month).topologies[name].providers}


def _wanted(api: Provider | None, found: Mapping[str, int]) -> tuple[float, int]:
    """Units of a month and their term; of those that are `auto` what was found for it, none where it is not known."""
    if api is None:
        return 0.0, 0
    units = api.provisioned_units
    return found.get(api.name, 0.0) if isinstance(units, str) else units, api.term_months or 0


def _goes_by_units(api: Provider) -> bool:
    return api.tokens_per_minute_per_unit is not None and api.tokens_per_minute is None


def _with_limit(api: Provider, units: float | None) -> Provider:
    per_unit = api.tokens_per_minute_per_unit
    if units is None or per_unit is None or api.provisioned_units == AUTO:
        return api
    return api.model_copy(update={"tokens_per_minute": per_unit * units})
