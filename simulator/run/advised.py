"""Another size than the one that is written, tried in the first month and in the one that asks for the most."""

from __future__ import annotations

from simulator.run.binding import binding_month
from simulator.run.loads import Loads
from simulator.run.months import Journey
from simulator.run.priced import first_month_usd
from simulator.scenario.load import LoadedScenario
from simulator.simulate.priced import Priced
from simulator.simulate.store import Store
from simulator.size.advice import OtherMonth, advice


def advised(
    loaded: LoadedScenario, name: str, priced: Priced, journey: Journey, loads: Loads, store: Store
) -> tuple[str, str]:
    """What another size of a topology would save, in words, and for which month they hold; empty for all of them.

    What it finds in the first month is tried in the month that asks for the most, too, unless events change the
    topology.
    """
    horizon = loads.horizon
    when = " in month 1" if len(set(map(horizon.asked, horizon.numbers))) > 1 else ""
    other = None
    if when and not any(event.topology == name for event in loaded.scenario.study.events):
        number = binding_month(loads)
        asked = horizon.asked(number)
        is_first = asked == horizon.asked(horizon.from_month)
        other = OtherMonth(number, () if is_first else loads.periods(asked))
    usd, first = first_month_usd(priced), loads.first_month
    return advice(loaded, name, usd, first, store, journey.months[0].meets is True, when, other), when
