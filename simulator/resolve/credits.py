"""Service credits as a scenario writes them."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.resolve.figures import Figures
from simulator.schema.money import ServiceCreditSettings
from simulator.study.contract import Credit


def credits_of(said: Sequence[ServiceCreditSettings], path: str, figures: Figures) -> tuple[Credit, ...]:
    """Credits of an offer whose key is at `path`, by falling availability."""
    found = []
    for k, one in enumerate(said):
        below = figures.given(f"{path}[{k}].below_availability", one.below_availability, "of the month")
        found.append(Credit(below, figures.given(f"{path}[{k}].share_of_bill", one.share_of_bill, "of the bill")))
    return tuple(found)
