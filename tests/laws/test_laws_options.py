"""One option more never makes what a search finds dearer: another instance, term, number, pool or hour to choose."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from money_scenarios import Row, course
from parts import few

from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store
from simulator.size.found import Limits

ROUNDING = 1e-6
OPEN_SCALER = {"min": "auto", "max": "auto", "target_per_replica": "auto", "down_window_s": 30}
STARTS = {"provision_s": 20, "image_s": 5, "weights_s": 10, "engine_s": 5}
OWN = {"price_usd_per_gpu_hour": 2.0, "gpus_per_instance": 4, "billing_granularity_s": 60}
YEAR = {"term_months": 12, "price_usd_per_gpu_hour": 1.2, "instances": "auto", "upfront_share": 0}
QUARTER = {"term_months": 3, "price_usd_per_gpu_hour": 1.6, "instances": "auto", "upfront_share": 0}
HALF_YEAR = {"billing": "reserved", "term_months": 6, "on_demand_usd_per_gpu_hour": 2.8}
OVERFLOW = {"kind": "overflow", "when": {"outstanding_per_replica": 8}}
CALLS = {
    "name": "calls",
    "prices": [{"input": 0.5, "output": 2.0}],
    "data_classes": ["public"],
    "ttft_s": {"median": 0.3},
    "tpot_s": {"median": 0.01},
    "error_probability": 0.0,
}
SERVERS = {"name": "ours", "site": "datacentre", "gpus_per_server": 4, "capex_usd": 120_000, "spares": 0}


def pool(name: str = "pool", **more: Any) -> Row:
    return {"name": name, "site": "lambda", "gpu": "h100-sxm", "replicas": "auto", "tensor_parallel_size": 2, **more}


def scaled(**more: Any) -> Row:
    return pool(cold_start=STARTS, **{"autoscaler": OPEN_SCALER, **more})


def one(of: Row) -> Row:
    return {"pools": [of]}


def beside(of: Row, *targets: str, **more: Any) -> Row:
    """A pool, and what takes what it has no room for."""
    rows = {"burst": pool("burst", **OWN), "calls": CALLS}
    return {
        "pools": [of, *(rows[name] for name in targets if name == "burst")],
        "providers": [rows[name] for name in targets if name == "calls"],
        "routing": OVERFLOW | {"order": [of["name"], *targets]},
        **more,
    }


MINE = pool("mine", billing="owned") | {"site": "datacentre"}
Pair = tuple[Row, Row, int, int]
OPTIONS: dict[str, Pair] = {
    **{f"instances beside those of {n}": (one(pool(gpus_per_instance=n)), one(pool()), 64, 64) for n in (2, 4, 8)},
    **{
        f"instances beside those of {n}, scaled": (one(scaled(gpus_per_instance=n)), one(scaled()), 64, 64)
        for n in (2, 4, 8)
    },
    "numbers above 3": (one(pool(**OWN)), one(pool(**OWN)), 3, 8),
    "numbers above 8": (one(pool(**OWN)), one(pool(**OWN)), 8, 30),
    "a term beside on demand": (one(pool(**OWN)), one(pool(**OWN, commitments=[YEAR])), 64, 64),
    "a shorter term": (one(pool(**OWN, commitments=[YEAR])), one(pool(**OWN, commitments=[YEAR, QUARTER])), 64, 64),
    "a longer term": (one(pool(**OWN, commitments=[QUARTER])), one(pool(**OWN, commitments=[YEAR, QUARTER])), 64, 64),
    "a term of what is scaled": (one(scaled(**OWN)), one(scaled(**OWN, commitments=[YEAR])), 64, 64),
    **{
        f"other numbers under commitment than {n}": (
            one(pool(**OWN, **HALF_YEAR, commitments=n)),
            one(pool(**OWN, **HALF_YEAR, commitments="auto")),
            64,
            64,
        )
        for n in (0, 1, 2)
    },
    "an autoscaler": (one(pool(**OWN)), one(scaled(**OWN)), 64, 64),
    "an autoscaler on any instances": (one(pool()), one(scaled()), 64, 64),
    **{
        f"other targets than {n}": (
            one(scaled(**OWN, autoscaler=OPEN_SCALER | {"target_per_replica": n})),
            one(scaled(**OWN)),
            64,
            64,
        )
        for n in (4, 8, 16)
    },
    "a second pool": (one(pool(**OWN)), beside(pool(**OWN), "burst"), 64, 64),
    "a cheaper pool": (
        one(pool(**OWN | {"price_usd_per_gpu_hour": 3.0})),
        beside(pool(**OWN | {"price_usd_per_gpu_hour": 3.0}), "burst"),
        64,
        64,
    ),
    "a pool before an API": ({"providers": [CALLS]}, beside(pool(**OWN), "calls"), 64, 64),
    "a burst of what is owned": (one(MINE) | {"servers": [SERVERS]}, beside(MINE, "burst", servers=[SERVERS]), 64, 64),
    "a burst before an API": (
        beside(MINE, "calls", servers=[SERVERS]),
        beside(MINE, "burst", "calls", servers=[SERVERS]),
        64,
        64,
    ),
    **{f"other numbers than {n}": (one(pool(**OWN, replicas=n)), one(pool(**OWN)), 64, 64) for n in (2, 3, 6)},
}
QUICK = [("a shorter term", 0), ("a burst of what is owned", 0), ("other targets than 8", 1)]


@pytest.mark.parametrize(("option", "seed"), few([(name, seed) for name in OPTIONS for seed in (0, 1)], *QUICK))
def test_one_option_more_is_never_dearer(option: str, seed: int) -> None:
    is_never_dearer(option, scenario(Random(seed)))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("option", "seed"), [(name, seed) for name in OPTIONS for seed in (0, 1)])
def test_nor_where_the_load_doubles_within_the_year(option: str, seed: int) -> None:
    is_never_dearer(option, scenario(Random(seed)) | {"study": {"months": 14, "growth_per_year": 1.0}})


def is_never_dearer(option: str, text: Row) -> None:
    (fewer, more, below, upto), store = OPTIONS[option], Store()
    usd, meets = found(text, fewer, store, below)
    usd_of_more, meets_too = found(text, more, store, upto)
    assert meets_too or not meets
    assert usd_of_more <= usd * (1 + ROUNDING) or not meets


def found(text: Row, topology: Row, store: Store, most: int) -> tuple[float, bool]:
    """USD per month over the study at the best sizes, and whether they meet the SLO in all months."""
    best = course(load_scenario(text | {"topologies": {"t": topology}}), "t", store, Limits(most))
    return best.priced.usd_per_month, all(month.meets for month in best.journey.months)


def scenario(random: Random) -> Row:
    arrivals = {"kind": "gamma", "rate_rps": random.choice([4, 8]), "cv": 2}
    lengths = {"isl": 200, "osl": {"kind": "uniform", "low": 10, "high": 120}}
    slo = {"e2e_s": {"p90": random.choice([2, 5])}}
    chat = {"name": "chat", "arrivals": arrivals, "lengths": lengths, "data_class": "public", "slo": slo}
    throughput = {"output_tokens_per_s": random.choice([300, 600]), "input_tokens_per_s": 20_000, "tpot_s": 0.005}
    return {
        "schema_version": 1,
        "name": "options",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 8192, "enable_prefix_caching": False, "throughput": throughput},
        "workload": {"classes": [chat]},
        "study": {"months": random.choice([1, 6, 14])},
        "cost": {"draws": 0},
        "run": {
            "horizon_s": 300,
            "warmup_s": 30,
            "replications": random.randint(1, 2),
            "seed": random.randint(0, 99),
            "keep_requests": False,
        },
    }
