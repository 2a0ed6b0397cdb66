"""What is saved, by the product and by a second arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import agree
from bill_cases import API, HOUR_S, fixed, month, owned, pool, provider, rented, servers
from bills.savings import saved
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bill.gpu_time import Engine
from simulator.bill.savings import savings_usd
from simulator.bill.split import StepCost
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.perf.steptime import StepTime
from simulator.study.terms import Span, Tax, Terms
from simulator.study.usage import PoolUsage, Usage

TIMES = st.floats(1e-4, 1.0)
ROWS = np.cumsum(np.full(22, 1e-3)).reshape(2, 11)
SEQS = np.cumsum(np.full(5, 1e-3))


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    def steps() -> StepTime:
        rows = np.cumsum(draw(st.lists(TIMES, min_size=22, max_size=22))).reshape(2, 11)
        seqs = np.cumsum(draw(st.lists(TIMES, min_size=5, max_size=5)))
        return StepTime(rows, seqs, draw(TIMES) * 1e-3, draw(TIMES) * 1e-3, calibrated=True, origin="any")

    cost = StepCost(draw(TIMES), draw(TIMES), draw(TIMES) * 1e-3, draw(TIMES) * 1e-3)
    drafts = draw(st.sampled_from([0, 3]))
    plain = steps() if draw(st.booleans()) else None
    return Engine(steps(), cost, plain, drafts, 1.0 + drafts / 2, draw(st.booleans()))


@settings(deadline=None, max_examples=60)
@given(one=engines(), other=engines(), seed=st.integers(0, 10_000))
def test_any_savings_are_the_same_by_the_second_arithmetic(one: Engine, other: Engine, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def used(name: str, **more: Any) -> PoolUsage:
        work = rng.integers(1, 1_000, (2, 6))
        return pool(name, stays=fixed(1), work=work, steps=int(rng.integers(1, 2_000)), input_tokens=9_000, **more)

    calls = provider(rng.integers(0, 10**6, (2, 1, 4)))
    months = [
        month(
            *(Usage(2 * HOUR_S, (used("a"), used("b"), used("r")), (calls,), (servers(1, ["a", "b"]),)) for _ in "xy")
        )
        for _ in "123"
    ]
    api = replace(API, tier_by_class=("", ""), residency_premium=0.1)
    terms = Terms("t", owned=(owned(("a", "b")),), rented=(rented("r", storage_gb=9.0),), apis=(api,), months=2.5)
    by_pool = {"a": one, "b": other, "r": one}
    found = savings_usd(terms, months, bill_study(terms, months), by_pool)
    told = {
        name: {
            "steps": table(engine.steps),
            "plain": None if engine.plain is None else table(engine.plain),
            **{key: getattr(engine.cost, key) for key in ("prompt_token_s", "answer_token_s", "pair_s", "kv_token_s")},
            **{key: getattr(engine, key) for key in ("drafts", "tokens_per_step", "batches")},
        }
        for name, engine in by_pool.items()
    }
    second = saved(agree(terms, months), told)
    for way, usd in second.items():
        assert getattr(found, way) == pytest.approx(usd, rel=1e-9, abs=1e-9), way


def table(steps: StepTime) -> dict[str, Any]:
    names = ("token_time_s", "seq_time_s", "prefill_attn_s", "decode_attn_s")
    launches = (steps.launches.pieces_s, steps.launches.eager_s, steps.launches.captured_tokens)
    return {**{name: np.asarray(getattr(steps, name)).tolist() for name in names}, "launches": launches}


def test_batches_that_take_as_long_as_their_requests_alone_save_nothing() -> None:
    """Three prompts and 27 further tokens at 0.1 s each, whatever the batch: what is left is the rounding of times."""
    steps = StepTime(np.zeros((1, 101)), np.arange(5) / 10, 0.0, 0.0, calibrated=True, origin="given")
    work = np.asarray([[3, 300, 0, 30, 0, 0]])
    terms = Terms("t", rented=(rented("r"),), months=2.0)
    months = [
        month(Usage(2 * HOUR_S, (pool("r", stays=fixed(1), work=work, input_tokens=300, output_tokens=30),), ()))
    ] * 2
    for busy_s, expected in ((3.0 * (1 - 1e-14), 0.0), (1.5, 55.04 * 730)):
        engine = Engine(steps, StepCost(busy_s / 327, busy_s / 327, 0.0, 0.0))
        found = savings_usd(terms, months, bill_study(terms, months), {"r": engine}).batching
        assert found.get("r", 0.0) == pytest.approx(expected, abs=0.0, rel=1e-9)
        assert ("r" in found) == (expected > 0)


def test_what_is_saved_has_the_tax_that_would_have_been_on_it() -> None:
    """A fifth on tokens: 1,000,000 cached ones an hour at $2.00 instead of $0.50; a fee by month has no part in it."""
    price = replace(API.prices[0], input=2.0, cached_input=0.5, cache_write=2.0, output=8.0)
    api = replace(API, prices=(price,), fixed_usd_per_month=700.0)
    taxes = (Tax("vat", 0.2, ("tokens",)), Tax("late", 0.5, (), Span(2)))
    terms = Terms("t", apis=(api,), taxes=taxes, months=1)
    months = [month(Usage(HOUR_S, (), (provider([[[0, 10**6, 0, 10**5]]]),), ()))]
    found = savings_usd(terms, months, bill_study(terms, months), {})
    assert found.prefix_caching == pytest.approx({API.provider: 730 * (2.0 - 0.5) * 1.2})


def test_machines_that_are_saved_have_their_tax() -> None:
    """Half of the lines taxed at a tenth: the saving rises by what the bill of the machines does."""
    engine = Engine(StepTime(ROWS, SEQS, 0.0, 0.0, calibrated=True, origin="any"), StepCost(1e-3, 1e-3, 0, 0), None)
    use = pool("a", stays=fixed(1), work=np.array([[1, 500, 400, 10, 10, 10]] * 2), steps=50, input_tokens=900)
    months = [month(Usage(2 * HOUR_S, (use,), (), (servers(1, ["a"]),)))]
    plain = Terms("t", owned=(owned(("a",)),), months=1)
    taxed = replace(plain, taxes=(Tax("vat", 0.1, ("hardware",)),))
    bills = [bill_study(one, months) for one in (plain, taxed)]
    saved_usd = [
        sum(savings_usd(one, months, bill, {"a": engine}).prefix_caching.values())
        for one, bill in zip((plain, taxed), bills, strict=True)
    ]
    usd = [float(total_usd(bill.lines)) for bill in bills]
    assert saved_usd[0] > 0
    assert saved_usd[1] / saved_usd[0] == pytest.approx(usd[1] / usd[0])
