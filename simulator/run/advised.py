"""Another size than the one that is written, found in the first month and tried in all others, through events."""

from __future__ import annotations

from simulator.decide.months import first_missed
from simulator.errors import InputError
from simulator.money import money
from simulator.resolve.topology import PlannedTopology
from simulator.run.evaluate import served_course
from simulator.run.loads import Loads, simulated_loads
from simulator.run.months import Journey
from simulator.run.priced import first_month_usd
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.priced import Priced
from simulator.size.advice import MOST_REQUESTS, WORTH_SAYING, advice

_NOT_TRIED = "; other months were not tried at that size"


def advised(
    loaded: LoadedScenario, name: str, priced: Priced, journey: Journey, loads: Loads, sizer: Sizer
) -> tuple[str, str]:
    """What another size of a topology would save, in words, and for which month they hold; empty for all of them.

    What it finds in the first month is tried in the others, too, as events leave the topology. Nothing is advised where
    it is not known whether the first month meets the SLO.

    Parameters
    ----------
    priced, journey : the topology as it is written
    sizer : of the run
    """
    horizon = loads.horizon
    differ = len(set(map(horizon.asked, horizon.numbers))) > 1
    changed = any(event.topology == name for event in loaded.scenario.study.events)
    when = " in month 1" if differ or changed else ""
    meets = journey.months[0].meets
    if meets is None:
        return "", when

    def in_others(planned: PlannedTopology) -> str:
        return _in_others(planned, priced, journey, loads, sizer)

    return (
        advice(
            *(loaded, name, first_month_usd(priced), loads.first_month, sizer.store),
            *(meets, when, in_others if when else None),
        ),
        when,
    )


def _in_others(planned: PlannedTopology, priced: Priced, journey: Journey, loads: Loads, sizer: Sizer) -> str:
    """How a size fares in the months beside the first: until when it meets the SLO, or what it costs in all of them."""
    scales = any(pool.autoscaler is not None for pool in planned.fleet.pools)
    requests = loads.demand.requests * simulated_loads(loads.horizon, loads.demand.horizon_s, scales)
    if requests > MOST_REQUESTS:
        return f"{_NOT_TRIED}: about {requests:,.0f} requests are more than {MOST_REQUESTS:,}"
    try:
        course = served_course(planned.loaded, loads, planned, sizer)
    except InputError:
        return f"{_NOT_TRIED}: events leave none that can be planned"
    months = course.journey.months
    if (missed := first_missed(months)) is not None:
        return f"; in month {missed.month} that size misses it: replicas: auto finds one for each month"
    if not all(month.meets for month in months):
        return "; whether it does in other months is not known"
    usd, was = course.priced.usd_per_month, priced.usd_per_month
    found = f"; so it does in all {len(months)} months, for {money(usd)} per month"
    if not all(month.meets for month in journey.months) or not was:
        return found
    saved = 1.0 - usd / was
    return f"{found}, {abs(saved):.0%} {'less' if saved > 0 else 'more'} than as written" if _is_worth(saved) else found


def _is_worth(share: float) -> bool:
    return abs(share) >= WORTH_SAYING
