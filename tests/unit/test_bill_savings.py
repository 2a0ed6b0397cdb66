"""What prefix caching, batching and quantisation save, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import API, HOUR_S, fixed, month, owned, pool, provider, provider_by_hour, rented, servers
from numpy.typing import NDArray

from simulator.bill.gpu_time import Engine, alone_share, cached_share, plain_share
from simulator.bill.savings import savings_usd
from simulator.bill.split import StepCost
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.use import PoolUse
from simulator.perf.steptime import StepTime
from simulator.study.bill import Bill, MonthUse
from simulator.study.terms import Terms, TierPrices, TokenPrices
from simulator.study.usage import Usage

COST = StepCost(prompt_token_s=2e-3, answer_token_s=3e-3, pair_s=1e-6, kv_token_s=1e-7)
STEPS = StepTime(1e-3 * np.arange(101.0)[None, :], np.zeros(9), 1e-6, 1e-7, calibrated=True, origin="by hand")
"""1 ms a token, at most 100 in a step and 8 requests at once."""
ENGINE = Engine(STEPS, COST, batches=False)
WORK = np.array([[10, 1_000, 4_000, 500, 0, 455_000]])
"""10 requests of 400 cached and 100 fresh tokens: 100 (400 + 101/2) = 45,050 pairs each are 450,500 and some."""


def use(work: NDArray[np.int64], steps: float = 0.0) -> PoolUse:
    return PoolUse({}, {}, 0.0, 1, work.astype(float), np.zeros((0, 24)), steps)


def share(work: NDArray[np.int64]) -> float:
    return cached_share(use(work), ENGINE)


def prefix_caching_usd(
    terms: Terms, months: list[MonthUse], bill: Bill, engines: dict[str, Engine]
) -> dict[str, float]:
    return savings_usd(terms, months, bill, engines).prefix_caching


def test_the_share_of_gpu_time_by_hand() -> None:
    """4,000 tokens of 1 ms and 10 x 400 x 401 / 2 pairs of 1 us, over 1,000 of 2 ms, 490 of 3 ms and 455,000 pairs."""
    saved_s = 4_000 * 1e-3 + 10 * 400 * 401 / 2 * 1e-6
    done_s = 1_000 * 2e-3 + 490 * 3e-3 + 455_000 * 1e-6
    assert share(WORK) == pytest.approx(saved_s / done_s)
    assert share(np.array([[10, 5_000, 0, 500, 0, 1_000_000]])) == 0.0


def flat(step_s: float, token_s: float, budget: int = 100) -> StepTime:
    """A step takes so long, and so much longer for each token; attention nothing."""
    row = step_s + token_s * np.arange(budget + 1.0)
    return StepTime(row[None, :], np.zeros(9), 0.0, 0.0, calibrated=True, origin="by hand")


def test_one_request_at_a_time_takes_a_step_for_each_token() -> None:
    """4 requests of 250 and 3 tokens: 3 steps for a prompt, the last of 50 tokens, and 2 for its other tokens."""
    work = np.array([[4, 1_000, 0, 12, 0, 0]])
    cost = StepCost(prompt_token_s=0.1, answer_token_s=0.2, pair_s=0.0, kv_token_s=0.0)
    engine = Engine(flat(10.0, 0.01), cost)
    alone_s = 4 * (3 * 10.0 + 250 * 0.01) + 8 * (10.0 + 0.01)
    assert alone_share(use(work), engine) == pytest.approx(alone_s / (1_000 * 0.1 + 8 * 0.2) - 1)
    drafted = replace(engine, drafts=3, tokens_per_step=2.0)
    alone_s = 4 * (3 * 10.0 + 250 * 0.01) + 4 * (10.0 + 4 * 0.01)
    assert alone_share(use(work), drafted) == pytest.approx(alone_s / (1_000 * 0.1 + 8 * 0.2) - 1)
    assert alone_share(use(work), replace(engine, batches=False)) == 0.0


def test_batching_saves_nothing_where_requests_share_no_step() -> None:
    """An engine that was busy for just these steps: 4 prompts of 90 tokens, and 8 tokens more."""
    work, steps = np.array([[4, 360, 0, 12, 0, 0]]), flat(10.0, 0.01)
    busy_s = 4 * (10.0 + 90 * 0.01) + 8 * (10.0 + 0.01)
    engine = Engine(steps, StepCost(busy_s / 368, busy_s / 368, 0.0, 0.0))
    assert alone_share(use(work), engine) == pytest.approx(0.0, abs=1e-12)


def test_in_16_bit_the_same_steps_read_twice_as_much() -> None:
    """Half of a step is reading weights, twice as long in 16 bit: whatever the steps, half as much more."""
    work = np.array([[4, 360, 0, 400, 5_000, 7_000]])
    own, plain = flat(10.0, 0.0), flat(15.0, 0.0)
    assert plain_share(use(work, 40.0), Engine(own, COST, plain)) == pytest.approx(0.5)
    attention = (replace(one, decode_attn_s=rate) for one, rate in ((own, 0.01), (plain, 0.02)))
    found = plain_share(use(work, 40.0), Engine(next(attention), COST, next(attention)))
    assert found == pytest.approx((40 * 15.0 + 100.0) / (40 * 10.0 + 50.0) - 1)
    assert plain_share(use(work, 40.0), Engine(own, COST)) == 0.0


def test_steps_with_a_prompt_are_told_from_those_without() -> None:
    """40 steps answer 9.9 tokens each in the mean, 4 of them with a prompt of 90: slower where products bound."""
    work = np.array([[4, 360, 0, 400, 0, 0]])
    bound = replace(flat(1.0, 0.0), token_time_s=np.maximum(1.0, np.arange(101.0) / 20)[None, :])
    slow = replace(bound, token_time_s=np.maximum(3.0, np.arange(101.0) / 10)[None, :])
    expected = (36 * 3.0 + 4 * 9.99) / (36 * 1.0 + 4 * 4.995) - 1
    assert plain_share(use(work, 40.0), Engine(bound, COST, slow)) == pytest.approx(expected)


def test_each_step_has_the_mean_number_of_answering_requests() -> None:
    """Of 400 tokens 4 come with their prompts: 396 over 40 steps, or two at a time with 4 computed for them."""
    work, own, plain = np.array([[4, 200, 0, 400, 0, 0]]), flat(1.0, 0.01), flat(3.0, 0.01)
    tokens = 0.01 * (40 * 9.9 + 200)
    engine = Engine(own, COST, plain)
    assert plain_share(use(work, 40.0), engine) == pytest.approx((40 * 3.0 + tokens) / (40 * 1.0 + tokens) - 1)
    tokens = 0.01 * (40 * 9.9 / 2 * 4 + 200)
    drafted = replace(engine, drafts=3, tokens_per_step=2.0)
    assert plain_share(use(work, 40.0), drafted) == pytest.approx((40 * 3.0 + tokens) / (40 * 1.0 + tokens) - 1)
    computed = np.array([[0, 0, 0, 400, 0, 0]])
    assert plain_share(use(computed, 40.0), engine) == pytest.approx((40 * 3.0 + 4.0) / (40 * 1.0 + 4.0) - 1)


def test_machines_grow_with_their_gpu_time_traffic_and_staff_do_not() -> None:
    usage = Usage(HOUR_S, (pool(gpus=8, stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK),), ())
    offer = replace(rented(usd=20.0), storage_gb=100.0, storage_usd_per_gb_month=1.0, egress_usd_per_gb=5.0)
    terms = Terms("t", rented=(offer,), months=2)
    months = [month(usage)] * 2
    found = prefix_caching_usd(terms, months, bill_study(terms, months), {"pool": ENGINE})
    assert found == pytest.approx({"pool": 730 * 20.0 * share(WORK)})


def test_a_site_grows_with_the_busy_hours_of_its_pools() -> None:
    mine = pool("a", stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK)
    other = pool("b", stays=fixed(1, HOUR_S), end_s=HOUR_S, work=WORK * np.array([1, 1, 0, 1, 1, 1]))
    usage = Usage(
        HOUR_S, (mine, replace(other, busy_s=3 * mine.busy_s, idle_s=0.0)), (), (servers(1, ["a", "b"], HOUR_S),)
    )
    terms = Terms("t", owned=(owned(("a", "b")),), months=1)
    bill = bill_study(terms, [month(usage)])
    (usd,) = prefix_caching_usd(terms, [month(usage)], bill, {"a": ENGINE, "b": ENGINE}).values()
    assert usd == pytest.approx(float(total_usd(bill.lines)) * share(WORK) / 4)


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
