"""Money has no unit of its own: every price times a factor is every line times it, and the same decision."""

from __future__ import annotations

from random import Random

import pytest
from money_scenarios import at_prices, courses, scenario
from parts import few

from simulator.decide.flips import PRECISION_OF_BILLS
from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario

MULTIPLES = ("factor", "clear")
USD = ("usd_per_month", "npv_usd", "capex_usd", "upfront_usd", "liability_usd")


@pytest.mark.parametrize("seed", few(range(100, 130), 101))
@pytest.mark.parametrize("factor", few([0.01, 3.7], 3.7))
def test_all_prices_times_a_factor_are_all_lines_times_it(seed: int, factor: float) -> None:
    text = scenario(Random(seed))
    there, scaled = courses(text), courses(at_prices(text, factor))
    for name, course in there.items():
        lines, dearer = course.priced.bill.lines, scaled[name].priced.bill.lines
        assert [(one.owner, one.category, one.part, one.kind) for one in lines] == [
            (one.owner, one.category, one.part, one.kind) for one in dearer
        ]
        assert [one.usd for one in dearer] == pytest.approx([one.usd * factor for one in lines], rel=1e-9, abs=1e-9)
        paid = scaled[name].priced.bill.paid_usd
        assert list(paid) == pytest.approx([usd * factor for usd in course.priced.bill.paid_usd], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", few([201, 204, 207, 210, 213], 204))
def test_all_prices_times_a_factor_leave_the_decision(seed: int) -> None:
    text = scenario(Random(seed))
    text["cost"]["draws"] = 40
    there, scaled = (simulate(load_scenario(one), None) for one in (text, at_prices(text, 3.7)))
    assert decided(scaled) == decided(there)
    flips, dearer = (one.decision["flips"] for one in (there, scaled))
    for before, after in zip(flips, dearer, strict=True):
        # found to that precision: which bills are printed alike, and so share the first place, goes with their size
        for key in (key for key in MULTIPLES if before[key] is not None):
            assert after[key] == pytest.approx(before[key], rel=PRECISION_OF_BILLS)
    for name, topology in there.summary["topologies"].items():
        cost = scaled.summary["topologies"][name]["cost"]
        assert [cost[key] for key in USD] == pytest.approx([3.7 * topology["cost"][key] for key in USD])
        low, high = (one.summary["topologies"][name]["uncertainty"]["usd_per_month"] for one in (there, scaled))
        assert high == pytest.approx({key: 3.7 * usd for key, usd in low.items()})


def decided(run: Run) -> dict[str, object]:
    """All that a run decides without a word of money."""
    decision = run.decision
    pairs = ("rival", "hours_per_day", "months", "months_discounted")
    return {
        "order": decision["order"],
        "winners": decision["winners"],
        "flips": [flip | {key: flip[key] is not None for key in MULTIPLES} for flip in decision["flips"]],
    } | {
        name: [{key: _rounded(pair[key]) for key in pairs} for pair in found["break_even"]]
        for name, found in decision["topologies"].items()
    }


def _rounded(value: object) -> object:
    return round(value, 9) if isinstance(value, float) else value
