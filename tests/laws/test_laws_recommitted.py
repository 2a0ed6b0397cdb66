"""Events that write another number under commitment: what runs is paid to its end, no more begin than they write."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

USD_PER_MONTH = 2.0 * 730
MONTHS = 10


def ran(change: dict[str, Any] | None, term_months: int, **written: Any) -> tuple[float, dict[int, int], list[float]]:
    """USD per month, instances by the month in which their term begins, and what is owed after each month."""
    pool = {"name": "r", "site": "neocloud", "gpu": "h100-sxm", "replicas": 2, "gpus_per_instance": 1, **written}
    terms = {"billing": "reserved", "term_months": term_months, "price_usd_per_gpu_hour": 2.0}
    event = {"name": "change", "from_month": 5, "topology": "t", "change": {"pools": [{"name": "r", **(change or {})}]}}
    slo = {"ttft_s": {"p95": 1.0}}
    chat = {"name": "chat", "arrivals": {"kind": "poisson", "rate_rps": 5}, "lengths": {"isl": 300, "osl": 60}}
    found = simulate(
        load_scenario(
            {
                "schema_version": 1,
                "name": "recommitted",
                "model": "llama-3.1-8b-instruct",
                "engine": {"max_model_len": 4096},
                "workload": {"classes": [{**chat, "slo": slo}]},
                "topologies": {"t": {"pools": [{**pool, **terms}]}},
                "study": {"months": MONTHS, "events": [event] if change is not None else []},
                "cost": {"draws": 0},
                "run": {"horizon_s": 30, "keep_requests": False},
            }
        ),
        out=None,
    )
    cost, months = found.summary["topologies"]["t"]["cost"], found.decision["topologies"]["t"]["months"]
    begun = {term["from_month"]: term["instances"] for term in cost["commitments"]}
    return cost["usd_per_month"], begun, [month["liability_usd"] for month in months]


@pytest.mark.parametrize(
    ("change", "term_months", "begun"),
    [
        ({"replicas": 1}, 7, {1: 2, 8: 1}),  # of two that run to month 7, one is renewed
        ({"replicas": 1}, 4, {1: 2, 5: 1, 9: 1}),
        ({"replicas": 3}, 7, {1: 2, 5: 1, 8: 2}),  # the third begins at once
        ({"replicas": 3}, 4, {1: 2, 5: 3, 9: 3}),
        ({"engine": {"max_num_seqs": 64}}, 7, {1: 2, 8: 2}),  # says nothing of them
    ],
)
def test_so_many_begin_as_are_missing(change: dict[str, Any], term_months: int, begun: dict[int, int]) -> None:
    usd, found, owed = ran(change, term_months)
    assert found == begun
    assert usd == pytest.approx(sum(begun.values()) * term_months * USD_PER_MONTH / MONTHS)
    left = sum(n * max(month - 1 + term_months - MONTHS, 0) for month, n in begun.items())
    assert owed[-1] == pytest.approx(left * USD_PER_MONTH)


def test_a_number_of_its_own_is_written_beside_the_replicas() -> None:
    _, begun, _ = ran({"commitments": 1}, 7, commitments=2)
    assert begun == {1: 2, 8: 1}
    assert ran({}, 7) == ran(None, 7)
