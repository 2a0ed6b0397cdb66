"""A bill by class and token kind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from bill_cases import API, HOUR_S, STAFF, fixed, month, owned, pool, provider, provider_by_hour, rented, servers
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.split import StepCost, answering_s, split_usd, step_cost, study_split_usd, work_seconds
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.use import month_use
from simulator.perf.device import BatchLimits
from simulator.perf.steptime import StepTime
from simulator.resolve.given import NO_BOUND, given_step_time
from simulator.schema.engine import Throughput
from simulator.study.terms import Terms, TierPrices, TokenPrices
from simulator.study.usage import Usage

COST = StepCost(2e-6, 2e-5, 1e-10, 1e-9)


def test_seconds_of_work_by_hand() -> None:
    """10 requests of 100 fresh and 50 cached tokens each, 20 answered: pairs are 100 (50 + 101/2) each.

    The first token of an answer comes with its prompt; without a prompt, as on a decode pool, each takes a step.
    """
    work = np.array([[10.0, 1_000.0, 500.0, 200.0, 30_000.0, 100_500.0]])
    fresh, cached, output = work_seconds(work, StepCost(1.0, 2.0, 0.01, 0.001))[0]
    assert fresh == pytest.approx(1_000.0 + 0.01 * 50_500)
    assert cached == pytest.approx(0.01 * 10 * 100 * 50)
    assert output == pytest.approx(2.0 * 190.0 + 30.0)
    decoded = np.array([[10.0, 0.0, 0.0, 200.0, 30_000.0, 0.0]])
    assert work_seconds(decoded, StepCost(1.0, 2.0, 0.01, 0.001))[0] == pytest.approx([0.0, 0.0, 430.0])


def test_token_kinds_of_an_api_pay_their_own_price() -> None:
    tokens = [[[100, 200, 10, 40]], [[0, 0, 0, 20]]]
    api = replace(
        API,
        prices=(TokenPrices(0, 1.0, 0.5, 2.0, 4.0),),
        tier_by_class=("", "batch"),
        tiers=(TierPrices("batch", (TokenPrices(0, 0.5, 0.5, 1.0, 2.0),)),),
        residency_premium=0.1,
    )
    terms, use = Terms("api", apis=(api,), months=1), month(Usage(HOUR_S, (), (provider(tokens),)))
    bill = bill_study(terms, [use])
    split = split_usd(terms, month_use(terms, use), bill.lines, {}, 2)
    scale = 730 * 1.1 / 1e6
    assert split == pytest.approx(scale * np.array([[120.0, 100.0, 160.0], [0.0, 0.0, 40.0]]))


def test_what_units_pay_for_is_split_by_tokens() -> None:
    """Tokens that cost nothing: nine of ten are of the first class, none was in the cache."""
    tokens = [[[600, 0, 100, 200]], [[60, 0, 0, 40]]]
    api = replace(API, prices=(TokenPrices(0, 0.0, 0.0, 0.0, 0.0),), fixed_usd_per_month=1000.0, tier_by_class=("", ""))
    terms, use = Terms("api", apis=(api,), months=1), month(Usage(HOUR_S, (), (provider(tokens),)))
    lines = bill_study(terms, [use]).months[0].lines
    found = split_usd(terms, month_use(terms, use), lines, {}, 2)
    np.testing.assert_allclose(found, [[700, 0, 200], [60, 0, 40]])


def test_tokens_of_dear_hours_weigh_as_much_more() -> None:
    """Two classes with the same tokens, one of them at an hour of thrice the price."""
    by_hour = np.zeros((24, 2, 1, 4), np.int64)
    by_hour[3, 0, 0, 3] = by_hour[4, 1, 0, 3] = 1_000
    factors = tuple(3.0 if hour == 4 else 1.0 for hour in range(24))
    api = replace(API, tier_by_class=("", ""), factor_by_hour=factors)
    terms, use = Terms("api", apis=(api,), months=1), month(Usage(HOUR_S, (), (provider_by_hour(by_hour, by_hour),)))
    bill = bill_study(terms, [use])
    split = split_usd(terms, month_use(terms, use), bill.lines, {}, 2)
    assert split == pytest.approx(730 * 0.6e-3 * np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]))


def steps_of(step_s: float, token_s: float, pair_s: float = 0.0, kv_token_s: float = 0.0) -> StepTime:
    row = step_s + token_s * np.arange(1_001.0)
    return StepTime(row[None, :], np.zeros(65), pair_s, kv_token_s, calibrated=True, origin="by hand")


def test_coefficients_make_the_work_of_a_pool_its_busy_time() -> None:
    """Half of the tokens were completed in the window: half of the busy time is theirs."""
    work = np.array([[10, 1_000, 500, 200, 30_000, 100_500], [1, 300, 0, 100, 500, 9_000]])
    used = pool(stays=fixed(1), work=work, input_tokens=3_100, cached_tokens=500, output_tokens=600, steps=500)
    steps = steps_of(0.01, 1e-4, 1e-4, 1e-3)
    cost = step_cost([used], steps)
    assert work_seconds(np.asarray(work, float), cost).sum() == pytest.approx(used.busy_s / 2)
    nothing = step_cost([replace(used, work=0 * work)], steps)
    assert (nothing.prompt_token_s, nothing.answer_token_s) == (0.0, 0.0)


def test_prompts_take_what_steps_take_longer_than_answers_alone() -> None:
    """110 steps of 10 ms, and 0.1 ms for each of 1,000 prompt tokens and 200 of answers, 20 behind the first of each.

    Spread evenly over the 1,200 scheduled tokens, the steps' 1.1 s would go to prompts, which are in ten of them.
    """
    work = np.array([[10, 1_000, 0, 210, 0, 0]])
    counts = {"input_tokens": 1_000, "cached_tokens": 0, "output_tokens": 210, "steps": 110}
    used = replace(pool(stays=fixed(1), work=work, **counts), busy_s=110 * 0.01 + 1_200 * 1e-4)
    cost = step_cost([used], steps_of(0.01, 1e-4))
    assert work_seconds(work.astype(float), cost)[0] == pytest.approx([1_000 * 1e-4, 0.0, 110 * 0.01 + 200 * 1e-4])


def test_a_throughput_that_is_given_says_what_a_token_costs() -> None:
    """2,000 output and 200,000 prompt tokens per second: a token of an answer takes as long as 100 of a prompt."""
    limits = BatchLimits(1_000, 64)
    given = given_step_time(Throughput(output_tokens_per_s=2_000, input_tokens_per_s=200_000), limits, NO_BOUND, gpus=1)
    work = np.array([[10, 5_000, 0, 1_010, 0, 0]])
    used = replace(
        pool(stays=fixed(1), work=work, input_tokens=5_000, cached_tokens=0, output_tokens=1_010, steps=500),
        busy_s=5_000 / 200_000 + 1_000 / 2_000,
    )
    cost = step_cost([used], given)
    assert cost.answer_token_s == pytest.approx(100 * cost.prompt_token_s)


def test_a_study_is_split_month_by_month() -> None:
    first, second = ([[[100, 0, 0, 40]], [[0, 0, 0, 0]]], [[[0, 0, 0, 0]], [[50, 0, 0, 0]]])
    months = [month(Usage(HOUR_S, (), (provider(tokens),))) for tokens in (first, second)]
    api = replace(API, prices=(TokenPrices(0, 1.0, 0.5, 2.0, 4.0),), tier_by_class=("", ""))
    terms = Terms("api", apis=(api,), months=2.0)
    split = study_split_usd(terms, months, bill_study(terms, months), {}, 2)
    assert split == pytest.approx(730 / 1e6 / 2 * np.array([[100.0, 0.0, 160.0], [50.0, 0.0, 0.0]]))


counts = st.lists(st.integers(0, 10**6), min_size=6, max_size=6)


@settings(deadline=None, max_examples=50)
@given(works=st.lists(st.lists(counts, min_size=2, max_size=2), min_size=3, max_size=3))
def test_parts_add_up_to_the_bill(works: list[list[list[int]]]) -> None:
    a, b, burst = (np.array(work) for work in works)
    usage = Usage(
        2 * HOUR_S,
        (
            pool("a", stays=fixed(1), work=a),
            pool("b", stays=fixed(1), work=b),
            pool("burst", stays=fixed(1), work=burst),
        ),
        (),
        (servers(1, ["a", "b"]),),
    )
    terms = Terms("own", owned=(owned(("a", "b")),), rented=(rented("burst"),), staff=(STAFF,), months=1)
    bill = bill_study(terms, [month(usage)])
    split = split_usd(terms, month_use(terms, month(usage)), bill.lines, dict.fromkeys(("a", "b", "burst"), COST), 2)
    assert (split >= 0).all()
    assert split.sum() == pytest.approx(float(total_usd(bill.lines)))
    if burst.sum() and not burst[1].sum() and not a[1].sum() and not b[1].sum():
        assert split[1].sum() == pytest.approx(0.0)


def bent(most: int = 2) -> StepTime:
    """Steps of n requests that take √n."""
    return StepTime(np.zeros((1, 100)), np.sqrt(np.arange(most + 1.0)), 0.0, 0.0, calibrated=True, origin="by hand")


def test_numbers_of_answers_in_a_step_are_poisson_from_one_to_the_most() -> None:
    """Of one or two as many each where the mean is 1.5. Of up to 64 with a mean of 9, where the ends do not matter."""
    assert answering_s(bent(), 1.5) == pytest.approx((1.0 + math.sqrt(2.0)) / 2)
    assert answering_s(bent(), 1.0) == 1.0
    assert answering_s(bent(), 2.0) == answering_s(bent(), 5.0) == pytest.approx(math.sqrt(2.0))
    chances = [math.exp(-9.0) * 9.0**n / math.factorial(n) for n in range(1, 65)]
    expected = sum(chance * math.sqrt(n) for n, chance in enumerate(chances, start=1))
    assert answering_s(bent(64), 9.0) == pytest.approx(expected, rel=1e-3)
    assert answering_s(steps_of(1.0, 2.0), 9.0, drafts=1) == pytest.approx(1.0 + 2.0 * 18.0)


def test_with_drafts_a_context_is_read_once_for_all_tokens_of_a_step() -> None:
    work = np.array([[10, 0, 0, 200, 30_000, 0]])
    used = pool(stays=fixed(1), work=work, input_tokens=0, cached_tokens=0, output_tokens=200, steps=80)
    assert step_cost([used], steps_of(0.01, 0.0, 0.0, 1e-3), 3, 2.5).kv_token_s == pytest.approx(1e-3 / 2.5)
