"""What a budget buys, by hand: replicas of $100 a month that serve one multiple of the load each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scenario_cases import written

from simulator.decide.budget import Affordable, affordable, budget_words
from simulator.decide.explore import Answered, Asked, Explorer, OutOfTime
from simulator.run.simulate import simulate


def explorer(most: int = 1000, asks: list[float] | None = None, ends_after: int = 10**6) -> Explorer:
    """Each replica carries 1 times the load; there are so many, and time for so many questions."""
    asked_of: list[float] = [] if asks is None else asks

    def serve(asked: Asked, left_s: float) -> Answered:
        if len(asked_of) >= ends_after:
            raise OutOfTime
        asked_of.append(asked.load)
        replicas = math.ceil(asked.load)
        return Answered(True, 100.0 * replicas) if replicas <= most else Answered(False, None)

    return Explorer(serve, serve, math.inf)


@pytest.mark.parametrize(
    ("budget_usd", "most", "load"),
    [(520.0, 1000, 5), (100.0, 1000, 1), (1999.0, 1000, 19), (1e9, 7, 7)],
)
def test_the_largest_load_is_that_of_the_replicas_that_the_budget_pays(budget_usd: float, most: int, load: int) -> None:
    found = affordable(explorer(most), "rent", budget_usd)
    assert found.least <= load < found.most
    assert found.most / found.least <= 1.05
    assert found.missed is (load == most)


def test_what_costs_more_at_the_least_load_and_less_at_the_most_is_left_open() -> None:
    assert affordable(explorer(), "rent", 99.0) == Affordable("rent", 0.0, 1 / 64)
    assert affordable(explorer(), "rent", 1e9) == Affordable("rent", 64.0, math.inf)


def test_of_a_budget_below_the_bill_the_part_that_it_pays_is_found() -> None:
    """A dollar for each hundredth of the load: $30 pay 0.3 of it."""
    asks: list[float] = []

    def serve(asked: Asked, left_s: float) -> Answered:
        asks.append(asked.load)
        return Answered(True, 100.0 * asked.load)

    found = affordable(Explorer(serve, serve, math.inf), "api", 30.0)
    assert found.least <= 0.3 < found.most <= 1.05 * found.least
    assert asks[:2] == [1.0, 1 / 64]


def test_where_time_ends_it_is_told_as_far_as_it_got() -> None:
    asks: list[float] = []
    assert affordable(explorer(asks=asks, ends_after=4), "rent", 520.0) == Affordable("rent", 4.0, 8.0)
    assert asks == [1.0, 2.0, 4.0, 8.0]
    assert affordable(explorer(ends_after=0), "rent", 520.0) == Affordable("rent", 0.0, math.inf)


def test_a_load_that_no_size_serves_is_told_to_miss_the_slo_and_not_to_cost_too_much() -> None:
    """No replica meets at any load, and four meet it up to four times the load for less than is there."""
    assert affordable(explorer(0), "storm", 1e9) == Affordable("storm", 0.0, 1 / 64, missed=True)
    words = budget_words(
        [
            Affordable("none", 0.0, 1 / 64, missed=True),
            Affordable("late", 0.0, 1.0, missed=True),
            Affordable("four", 4.0, 4.2, missed=True),
            Affordable("wide", 4.0, 8.0, missed=True),
            Affordable("dear", 2.0, 2.04),
        ],
        20_000.0,
        month=1,
    )
    assert words == (
        "For $20,000 a month four serves × 4.00 of the load of month 1, and misses the SLO beyond; wide serves from "
        "× 4 to × 8 of the load of month 1, and misses the SLO beyond; dear serves × 2.00 of the load of month 1; none "
        "serves none, as it misses the SLO at × 0.016 of the load of month 1, too; late serves less than the load of "
        "month 1, with which it misses the SLO."
    )


def test_it_is_said_in_words_the_most_first() -> None:
    found = [
        Affordable("a", 0.0, 1 / 64),
        Affordable("b", 2.0, 2.04),
        Affordable("c", 64.0, math.inf),
        Affordable("d", 4.0, 8.0),
        Affordable("e", 0.0, math.inf),
    ]
    assert budget_words(found, 20_000.0) == (
        "For $20,000 a month c serves at least × 64 of this load; d serves from × 4 to × 8 of this load; b serves "
        "× 2.00 of this load; a serves none, as × 0.016 of this load costs more; e serves a load that was not found in "
        "time."
    )


API = """
schema_version: 1
name: bought
model: llama-3.1-8b
engine: {max_model_len: 4096}
workload:
  classes:
    - name: chat
      arrivals: {kind: gamma, cv: 0.01, rate_rps: 1}
      lengths: {isl: 1000, osl: 100}
      slo: {ttft_s: {p95: 5}}
topologies:
  api:
    providers:
      - {name: api, prices: [{input: 1, output: 10}], data_classes: [internal], ttft_s: {median: 0.5},
         tpot_s: {median: 0.01}, error_probability: 0}
run: {horizon_s: 100, warmup_s: 0}
cost: {draws: 0}
"""


def test_a_token_api_serves_what_its_price_gives(tmp_path: Path) -> None:
    """A request costs 1000 · $1 + 100 · $10 a million = $0.002; one a second is 2,628,000 a month, $5,256."""
    run = simulate(written(tmp_path, API, "study.budget_usd_per_month=15768"), tmp_path / "runs")
    assert run.summary["topologies"]["api"]["cost"]["usd_per_month"] == pytest.approx(5256, rel=1e-3)
    (found,) = run.decision["budget"]
    assert found["least"] == pytest.approx(3.0, rel=0.05)
    assert found["least"] <= 3.03
    assert found["most"] >= 2.97
    assert "For $15,768 a month api serves × " in run.decision["verdict"]
    assert "budget" not in simulate(written(tmp_path, API), tmp_path / "others").decision


def test_loads_of_more_requests_than_are_simulated_for_it_are_not_asked() -> None:
    """Up to 5 times today's: 4 times it is known to be paid, 8 times is not looked at."""
    asks: list[float] = []
    assert affordable(explorer(asks=asks), "rent", 1e9, reach=5.0) == Affordable("rent", 4.0, math.inf)
    assert asks == [1.0, 2.0, 4.0]


def test_the_reach_of_a_budget_follows_the_requests_and_no_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 requests in the window, of which 350 may be simulated: 1 and 2 times the load are asked, 4 times is not."""
    monkeypatch.setattr("simulator.run.within_budget._MOST_REQUESTS", 350)
    run = simulate(written(tmp_path, API, "study.budget_usd_per_month=1000000"), tmp_path / "runs")
    assert run.decision["budget"] == [{"topology": "api", "least": 2.0, "most": None, "missed": False}]
