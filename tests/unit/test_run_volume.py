"""Cost against volume: straight lines through the run, bands of the draws, how sure a crossing is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.decide.volumes import SIDES, Costs, cheaper_sides, cheaper_volumes
from simulator.run.uncertainty import Draws
from simulator.run.volume import cost_curves, crossing_draws

TOKENS = 1e9


def report(fixed_usd: float, usage_usd: float, tokens: float = TOKENS) -> Costs:
    """Costs with a fixed part and one by use."""
    return Costs(fixed_usd, usage_usd, tokens)


def test_curves_pass_through_the_run_and_cross_where_the_break_even_is() -> None:
    own, rented = report(900.0, 100.0), report(0.0, 1500.0)
    found = cheaper_volumes(own, rented)
    assert found is not None
    crossing = found[0]
    curves = cost_curves({"own": own, "rented": rented}, {}, [crossing])
    lines = {name: rows.sort_values("tokens_per_month") for name, rows in curves.groupby("topology")}
    for volume, own_usd, rented_usd in ((TOKENS, 1000.0, 1500.0), (crossing, *(900 + 100 * crossing / TOKENS,) * 2)):
        for name, usd in (("own", own_usd), ("rented", rented_usd)):
            rows = lines[name]
            assert np.interp(volume, rows["tokens_per_month"], rows["usd_per_month"]) == pytest.approx(usd)
    assert curves["usd_per_month_low"].isna().all()


def test_volumes_reach_beyond_a_crossing_but_not_to_one_far_away() -> None:
    reports = {"a": report(10.0, 1.0), "b": report(0.0, 2.0)}
    for crossing, most in ((5 * TOKENS, 6.25 * TOKENS), (50 * TOKENS, 2 * TOKENS)):
        assert cost_curves(reports, {}, [crossing])["tokens_per_month"].max() == pytest.approx(most)


def test_nothing_delivered_costs_the_fixed_part_only() -> None:
    curves = cost_curves({"a": report(7.0, 0.0, tokens=0.0)}, {}, [])
    assert (curves["usd_per_month"] == 7.0).all()


def test_the_band_holds_nine_tenths_of_the_draws_at_each_volume() -> None:
    rng = np.random.default_rng(1)
    fixed, usage = rng.uniform(500, 900, 999), rng.uniform(10, 300, 999)
    draws = Draws(fixed + usage, usage, np.full(999, TOKENS))
    curves = cost_curves({"a": report(700.0, 150.0)}, {"a": draws}, [])
    for row in curves.to_dict("records"):
        costs = fixed + usage * row["tokens_per_month"] / TOKENS
        inside = np.mean((costs >= row["usd_per_month_low"]) & (costs <= row["usd_per_month_high"]))
        assert inside == pytest.approx(0.9, abs=0.003)


amounts = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0])


@given(amounts, amounts)
def test_sides_are_those_of_the_volumes(fixed: float, saving: float) -> None:
    mine, other = report(5.0 + fixed, 5.0 - saving), report(5.0, 5.0)
    volumes = cheaper_volumes(mine, other)
    if volumes is None:
        expected = "never"
    elif volumes[0] > 0:
        expected = "above"
    else:
        expected = "below" if volumes[1] < math.inf else "always"
    assert str(cheaper_sides([fixed], [saving / TOKENS])[0]) == expected


def test_a_crossing_is_as_sure_as_the_draws_say() -> None:
    fixed = np.array([10.0, 20.0, 10.0, -10.0, 10.0])
    saving = np.array([20.0, 10.0, -5.0, 5.0, 40.0])  # per TOKENS
    mine = Draws(50.0 + fixed, np.zeros(5), np.full(5, TOKENS))
    rival = Draws(50.0 + saving, saving, np.full(5, TOKENS))
    found = crossing_draws(mine, rival, "above")
    assert found["share_cheaper"] == pytest.approx(3 / 5)
    assert found["shares"] == pytest.approx({"above": 0.6, "below": 0.0, "always": 0.2, "never": 0.2})
    assert list(found["shares"]) == list(SIDES)
    assert found["tokens_per_month"]["median"] == pytest.approx(0.5 * TOKENS)
    assert crossing_draws(mine, rival, "below")["tokens_per_month"] is None
    assert crossing_draws(mine, rival, "never")["tokens_per_month"] is None
