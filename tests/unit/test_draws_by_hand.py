"""Draws of costs whose parts are made up: which volatility is whose, and how an error of the speed moves the bill."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.catalog.costs import cost_entry
from simulator.decide.draws import GPU_PRICE, TOKEN_PRICE, Inputs, _market, _market_range, draw_costs
from simulator.plan.rows import _hardware, _pools
from simulator.resolve.figures import Figures
from simulator.resolve.schedules import pool_reliability
from simulator.resolve.sizes import Fixed, Scaled
from simulator.schema.pool import Pool
from simulator.study.fleet import Reliability

VOLATILITY = {GPU_PRICE: "price.monthly_log_vol", TOKEN_PRICE: "price.token_monthly_log_vol"}


@pytest.mark.parametrize("name", VOLATILITY)
def test_each_price_walks_by_its_own_volatility(name: str) -> None:
    monthly = cost_entry(VOLATILITY[name]).number()
    path = _market(Figures({}), name)
    assert (path.start_usd, path.drift_per_year) == (1.0, 0.0)
    assert path.volatility_per_year == pytest.approx(monthly * 12**0.5)
    for other in VOLATILITY:
        moved = _market(Figures({VOLATILITY[other]: 0.123}), name).volatility_per_year
        assert moved == pytest.approx((0.123 if other == name else monthly) * 12**0.5)


def drawn(monkeypatch: pytest.MonkeyPatch, shifts_usd: tuple[float, float], *, seed: int = 1, n: int = 4000) -> Any:
    """Two replications that cost $1,000 and $3,000 and deliver 10 and 30 tokens, whatever the prices."""
    place = import_module("simulator.decide.draws")
    monkeypatch.setattr(place, "_drawn_terms", lambda *_: None)
    monkeypatch.setattr(place, "month_uses", lambda walked, k: k)
    monkeypatch.setattr(place, "study_usd_per_month", lambda terms, k: (1000.0, 3000.0)[k])
    replications = [SimpleNamespace(tokens=SimpleNamespace(delivered=tokens)) for tokens in (10.0, 30.0)]
    case: Any = SimpleNamespace(replications=replications, priced=SimpleNamespace(walked=None))
    path = np.ones((n, 2))
    return draw_costs(case, {}, Inputs({}, path, path), seed, shifts_usd)


def test_a_quarter_of_the_draws_is_slower_and_a_quarter_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, shifted = (drawn(monkeypatch, shifts) for shifts in ((0.0, 0.0), (100.0, -40.0)))
    moved, counts = np.unique(np.round(shifted.usd_per_month - plain.usd_per_month), return_counts=True)
    assert moved.tolist() == [-40.0, 0.0, 100.0], "what is slower costs more"
    assert (counts / counts.sum()).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert (shifted.tokens_per_month == plain.tokens_per_month).all()


def test_replications_are_drawn_with_replacement_with_their_own_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two, both are the first in a quarter of the draws, and both the second in another."""
    found = drawn(monkeypatch, (0.0, 0.0))
    values, counts = np.unique(found.usd_per_month, return_counts=True)
    assert values.tolist() == [1000.0, 2000.0, 3000.0]
    assert (counts / counts.sum()).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert found.tokens_per_month == pytest.approx(found.usd_per_month / 100)
    assert (drawn(monkeypatch, (0.0, 0.0)).usd_per_month == found.usd_per_month).all()
    assert (drawn(monkeypatch, (0.0, 0.0), seed=2).usd_per_month != found.usd_per_month).any()


def pool(**given: Any) -> Any:
    base = {"name": "p", "gpu": "l4", "tensor_parallel_size": 2, "pipeline_parallel_size": 3, "replicas": 4}
    return SimpleNamespace(**{**base, "autoscaler": None, **given})


def test_gpus_of_a_fleet_are_its_replicas_by_both_ways_to_split_them() -> None:
    settings = SimpleNamespace(pools=[pool(), pool(name="q", autoscaler=SimpleNamespace(max=7)), pool(name="r")])
    sizing: Any = SimpleNamespace(
        candidate=SimpleNamespace(settings=settings),
        trials=SimpleNamespace(sizes=lambda point: {0: Fixed(5), 2: Scaled(1, 6, 9.0)}),
    )
    assert [(one["name"], one["replicas"], one["spare"], one["gpus"]) for one in _pools(sizing, (), 2)] == [
        ("p", 5, 2, 7 * 2 * 3),
        ("q", 7, 0, 7 * 2 * 3),
        ("r", 6, 2, 8 * 2 * 3),
    ]
    assert [(one["sized"], one["autoscaled"]) for one in _pools(sizing, (), 0)] == [
        *((True, False), (False, True), (True, True)),
    ]
    hardware = _hardware(sizing.candidate)
    assert hardware == {"gpu": ["l4"] * 3, "tp": [2] * 3, "pp": [3] * 3}


def test_a_pool_s_own_reliability_is_in_hours() -> None:
    own = Pool.model_validate(
        {"name": "p", "site": "lambda", "gpu": "l4", "reliability": {"mtbf_h": 500, "mttr_h": 2.5}, "failures": True}
    )
    found = pool_reliability(own, Reliability(mtbf_s=1.0, mttr_s=1.0))
    assert (found.mtbf_s, found.mttr_s) == (500 * 3600.0, 2.5 * 3600.0)
    plain = own.model_copy(update={"reliability": None})
    assert pool_reliability(plain, Reliability(mtbf_s=7.0, mttr_s=3.0)).mttr_s == 3.0


def test_the_range_of_a_market_price_in_one_month_by_hand() -> None:
    """At 9 % a month, of a price that is expected to stay: exp(-0.09²/2 ± 1.645 · 0.09)."""
    found = _market_range(Figures({VOLATILITY[GPU_PRICE]: 0.09}), GPU_PRICE, 1)
    assert found == (pytest.approx(0.859, rel=0.01), 1.0, pytest.approx(1.155, rel=0.01))
    assert _market_range(Figures({VOLATILITY[TOKEN_PRICE]: 0.09}), TOKEN_PRICE, 1) == found


def test_the_range_of_a_market_price_is_that_of_its_mean_over_the_study() -> None:
    """Of 36 months that each follow the one before, drawn here: from -42 to +62 %."""
    steps = np.random.default_rng(1).normal(-(0.09**2) / 2, 0.09, (100_000, 36))
    low, high = np.quantile(np.exp(steps.cumsum(axis=1)).mean(axis=1), (0.05, 0.95))
    found = _market_range(Figures({VOLATILITY[GPU_PRICE]: 0.09}), GPU_PRICE, 36)
    assert found == (pytest.approx(low, rel=0.01), 1.0, pytest.approx(high, rel=0.01))
    assert _market_range(Figures({VOLATILITY[TOKEN_PRICE]: 0.09}), TOKEN_PRICE, 36) == found
