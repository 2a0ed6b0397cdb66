"""A bill by class and token kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bill_cases import API, HOUR_S, STAFF, fixed, month, owned, pool, provider, provider_by_hour, rented, servers
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.split import StepCost, split_usd, step_cost, study_split_usd, work_seconds
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.bill.use import month_use
from simulator.study.terms import Terms, TierPrices, TokenPrices
from simulator.study.usage import Usage

COST = StepCost(2e-6, 1e-10, 1e-9)


def test_seconds_of_work_by_hand() -> None:
    """10 requests of 100 fresh and 50 cached tokens each, 20 answered: pairs are 100 (50 + 101/2) each."""
    work = np.array([[10.0, 1_000.0, 500.0, 200.0, 30_000.0, 100_500.0]])
    fresh, cached, output = work_seconds(work, StepCost(1.0, 0.01, 0.001))[0]
    assert fresh == pytest.approx(1_000.0 + 0.01 * 50_500)
    assert cached == pytest.approx(0.01 * 10 * 100 * 50)
    assert output == pytest.approx(200.0 + 30.0)


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


def test_coefficients_make_the_work_of_a_pool_its_busy_time() -> None:
    """Half of the tokens were completed in the window: half of the busy time is theirs."""
    work = np.array([[10, 1_000, 500, 200, 30_000, 100_500], [1, 300, 0, 100, 500, 9_000]])
    used = pool(stays=fixed(1), work=work, input_tokens=3_100, cached_tokens=500, output_tokens=600)
    cost = step_cost([used], 1e-4, 1e-3)
    assert work_seconds(np.asarray(work, float), cost).sum() == pytest.approx(used.busy_s / 2)
    assert step_cost([replace(used, work=0 * work)], 1e-4, 1e-3).token_s == 0.0


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
