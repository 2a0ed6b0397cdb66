"""Where a choice costs less than another by volume, units to own, draws of figures, shares of the cheapest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.decide.rivals import shares_cheapest
from simulator.decide.sensitivity import triangular
from simulator.decide.volumes import Costs, cheaper_volumes, owned_units
from simulator.errors import InputError


@given(
    demand=st.lists(st.integers(0, 12), min_size=1, max_size=30),
    fixed=st.floats(0.0, 60_000.0),
    rented=st.floats(0.0, 8.0),
    owned=st.floats(0.0, 8.0),
)
@settings(max_examples=150, deadline=None)
def test_hybrid_rule_finds_the_cheapest_number_to_own(
    demand: list[int], fixed: float, rented: float, owned: float
) -> None:
    wanted = np.array(demand, dtype=float)
    costs = np.array(
        [
            fixed * k + 8760 * (owned * np.minimum(wanted, k).mean() + rented * np.maximum(wanted - k, 0).mean())
            for k in range(14)
        ]
    )
    found = owned_units(demand, fixed, rented, owned)
    assert costs[found] == pytest.approx(costs.min(), rel=1e-9, abs=1e-6)
    assert (costs[:found] > costs[found] - 1e-6).all()


money = st.floats(0.0, 1e5)


@given(mine=st.tuples(money, money), other=st.tuples(money, money), volume=st.floats(0.0, 3.0))
@settings(max_examples=80, deadline=None)
def test_volumes_for_which_owning_is_cheaper(
    mine: tuple[float, float], other: tuple[float, float], volume: float
) -> None:
    """The side of the break-even volume is the one on which the two straight lines of cost over tokens say so."""
    tokens = 1e9
    first, second = Costs(*mine, tokens), Costs(*other, tokens)
    ours, theirs = (fixed + volume * usage for fixed, usage in (mine, other))
    found = cheaper_volumes(first, second)
    inside = found is not None and found[0] <= volume * tokens <= found[1]
    if abs(ours - theirs) > 1e-6:
        assert inside == (ours < theirs)


def test_equal_costs_before_the_first_token_leave_the_choice_to_the_token() -> None:
    cheap, dear = Costs(0.1 + 0.2, 1.0, 1e9), Costs(0.3, 2.0, 1e9)
    assert cheaper_volumes(cheap, dear) == (0.0, math.inf)
    assert cheaper_volumes(dear, cheap) is None


@given(value=st.floats(-50, 50), below=st.floats(0, 30), above=st.floats(0, 30), name=st.sampled_from(["pue", "capex"]))
@settings(max_examples=30, deadline=None)
def test_draws_of_a_figure_stay_in_its_range_and_repeat(value: float, below: float, above: float, name: str) -> None:
    low, high = value - below, value + above
    found = triangular(low, value, high, 2_000, 3, name)
    assert (found >= low).all()
    assert (found <= high).all()
    assert found.tolist() == triangular(low, value, high, 2_000, 3, name).tolist()
    error = (high - low) / math.sqrt(18 * 2_000)
    assert found.mean() == pytest.approx((low + value + high) / 3, abs=5 * error + 1e-9)


def test_a_range_out_of_order_is_refused() -> None:
    with pytest.raises(InputError, match="low <= value <= high"):
        triangular(2.0, 1.0, 3.0, 10, 1, "pue")


@given(st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_shares_of_the_cheapest_add_up_and_ties_are_shared(costs: list[list[int]]) -> None:
    table = {str(k): np.array(row, float) for k, row in enumerate(costs)}
    found = shares_cheapest(table)
    assert sum(found.values()) == pytest.approx(1.0)
    by_hand = dict.fromkeys(table, 0.0)
    for k in range(6):
        least = min(row[k] for row in table.values())
        winners = [name for name, row in table.items() if row[k] == least]
        for name in winners:
            by_hand[name] += 1 / len(winners) / 6
    assert found == pytest.approx(by_hand)
