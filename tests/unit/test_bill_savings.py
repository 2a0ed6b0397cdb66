"""What prefix caching saves, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import API, HOUR_S, fixed, month, owned, pool, provider, provider_by_hour, rented, servers

from simulator.bill.savings import PromptCost, prefix_caching_usd, saved_share
from simulator.bill.split import StepCost
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.study.terms import Terms, TierPrices, TokenPrices
from simulator.study.usage import Usage

STEPS = StepCost(token_s=2e-3, pair_s=1e-6, kv_token_s=1e-7)
COST = PromptCost(token_s=1e-3, pair_s=1e-6, steps=STEPS)
WORK = np.array([[10, 1_000, 4_000, 500, 0, 455_000]])
"""10 requests of 400 cached and 100 fresh tokens: 100 (400 + 101/2) = 45,050 pairs each are 450,500 and some."""


def test_the_share_of_gpu_time_by_hand() -> None:
    """4,000 tokens of 1 ms and 10 x 400 x 401 / 2 pairs of 1 us, over 1,500 tokens of 2 ms and 455,000 pairs."""
    saved_s = 4_000 * 1e-3 + 10 * 400 * 401 / 2 * 1e-6
    done_s = 1_500 * 2e-3 + 455_000 * 1e-6
    assert saved_share(WORK.astype(float), COST) == pytest.approx(saved_s / done_s)
    assert saved_share(np.array([[10.0, 5_000.0, 0.0, 500.0, 0.0, 1e6]]), COST) == 0.0


def test_machines_grow_with_their_gpu_time_traffic_and_staff_do_not() -> None:
    usage = Usage(HOUR_S, (pool(gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK),), ())
    offer = replace(rented(usd=20.0), storage_gb=100.0, storage_usd_per_gb_month=1.0, egress_usd_per_gb=5.0)
    terms = Terms("t", rented=(offer,), months=2)
    months = [month(usage)] * 2
    found = prefix_caching_usd(terms, months, bill_study(terms, months), {"pool": COST})
    assert found == pytest.approx({"pool": 730 * 20.0 * saved_share(WORK.astype(float), COST)})


def test_a_site_grows_with_the_busy_hours_of_its_pools() -> None:
    mine = pool("a", stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK)
    other = pool("b", stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK * np.array([1, 1, 0, 1, 1, 1]))
    usage = Usage(
        HOUR_S, (mine, replace(other, busy_s=3 * mine.busy_s, idle_s=0.0)), (), (servers(1, ["a", "b"], HOUR_S),)
    )
    terms = Terms("t", owned=(owned(("a", "b")),), months=1)
    bill = bill_study(terms, [month(usage)])
    (usd,) = prefix_caching_usd(terms, [month(usage)], bill, {"a": COST, "b": COST}).values()
    assert usd == pytest.approx(float(total_usd(bill.lines)) * saved_share(WORK.astype(float), COST) / 4)


def test_token_apis_would_charge_cached_tokens_and_writes_as_input() -> None:
    tokens = [[[100, 200, 10, 40]], [[0, 300, 0, 20]]]
    batch = TierPrices("batch", (TokenPrices(0, 0.5, 0.4, 1.0, 2.0),))
    standard = (TokenPrices(0, 1.0, 0.25, 1.5, 4.0),)
    api = replace(API, prices=standard, tier_by_class=("", "batch"), tiers=(batch,), residency_premium=0.1)
    usage = Usage(HOUR_S, (), (provider(tokens),))
    terms = Terms("t", apis=(api,), months=1, token_index=np.array([1.0, 2.0]))
    bill = bill_study(terms, [month(usage)])
    (usd,) = prefix_caching_usd(terms, [month(usage)], bill, {}).values()
    assert usd == pytest.approx(730 * 2.0 * 1.1 / 1e6 * (200 * 0.75 - 10 * 0.5 + 300 * 0.1))
    without = [[[310, 0, 0, 40]], [[300, 0, 0, 20]]]
    dearer = bill_study(terms, [month(Usage(HOUR_S, (), (provider(without),)))])
    assert usd == pytest.approx(float(total_usd(dearer.lines)) - float(total_usd(bill.lines)))


def test_what_is_cached_in_dear_hours_saves_as_much_more() -> None:
    by_hour = np.zeros((24, 1, 1, 4), np.int64)
    by_hour[3, 0, 0, 1] = by_hour[4, 0, 0, 1] = 1_000
    api = replace(API, factor_by_hour=tuple(3.0 if hour == 4 else 1.0 for hour in range(24)))
    used = month(Usage(HOUR_S, (), (provider_by_hour(by_hour, 0 * by_hour),)))
    terms = Terms("t", apis=(api,), months=1)
    (usd,) = prefix_caching_usd(terms, [used], bill_study(terms, [used]), {}).values()
    assert usd == pytest.approx(730 * 4 * 1_000 * 0.075 / 1e6)
