"""Kinds of hardware that a plan tries: every combination, each once, in the pools that are sized, at its own price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.plan.candidate import Candidate, candidates
from simulator.plan.plan import _Marks

POOLS = (
    "{name: mine, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 9.0}",
    "{name: other, site: lambda, gpu: h100-sxm}",
)
TEXT = chat(f"two: {{pools: [{', '.join(POOLS)}]}}", "none: {pools: [{name: p, site: lambda, gpu: l4}]}", study="")


def tried(
    tmp_path: Path, pools: tuple[str, ...] = (), gpus: tuple[str, ...] = (), tps: tuple[int, ...] = ()
) -> list[Candidate]:
    return candidates(written(tmp_path, TEXT), "two", pools, gpus, tps)


def hardware(one: Candidate) -> list[tuple[Any, ...]]:
    return [(pool.gpu, pool.tensor_parallel_size, pool.price_usd_per_gpu_hour) for pool in one.settings.pools]


def test_without_a_choice_the_topology_is_tried_as_it_is(tmp_path: Path) -> None:
    (one,) = tried(tmp_path)
    assert (one.topology, one.scaled, one.hardware, one.hours) == ("two", (0, 1), {}, "")
    assert hardware(one) == [("h100-sxm", 1, 9.0), ("h100-sxm", 1, None)]
    assert list(one.loaded.scenario.topologies) == ["two"]


def test_every_combination_is_tried_once(tmp_path: Path) -> None:
    found = tried(tmp_path, gpus=("h200", "h100-sxm", "h200"), tps=(1, 2))
    assert [(one.settings.pools[1].gpu, one.settings.pools[1].tensor_parallel_size) for one in found] == [
        *(("h200", 1), ("h200", 2), ("h100-sxm", 1), ("h100-sxm", 2)),
    ]


def test_a_pool_s_own_price_is_that_of_its_own_gpu(tmp_path: Path) -> None:
    other, same = tried(tmp_path, gpus=("h200", "h100-sxm"))
    assert hardware(other) == [("h200", 1, None), ("h200", 1, None)]
    assert other.hardware == {"gpu": "h200", "price_usd_per_gpu_hour": None}
    assert hardware(same) == [("h100-sxm", 1, 9.0), ("h100-sxm", 1, None)]
    assert same.hardware == {"gpu": "h100-sxm"}


def test_pools_that_are_not_sized_stay(tmp_path: Path) -> None:
    (one,) = tried(tmp_path, pools=("other",), gpus=("h200",), tps=(2,))
    assert (one.scaled, one.hardware) == ((1,), {"gpu": "h200", "tensor_parallel_size": 2})
    assert hardware(one) == [("h100-sxm", 1, 9.0), ("h200", 2, None)]


def test_what_gives_a_run_the_fleet_is_below_the_pools_that_were_sized(tmp_path: Path) -> None:
    (one,) = tried(tmp_path, pools=("other",), gpus=("h200",))
    sizes = {pool.index: size for pool, size in zip(one.pools(), [_fixed(3)], strict=True)}
    assert one.values(sizes) == [("pools[other].gpu", "h200"), ("pools[other].replicas", 3)]


def test_units_of_a_token_api_have_no_hardware(tmp_path: Path) -> None:
    units = "provisioned_units: auto, usd_per_unit_hour: 1, tokens_per_minute_per_unit: 3400"
    api = f"{{name: api, offer: openai/gpt-4o-mini, {units}}}"
    both = f"t: {{pools: [{POOLS[0]}], providers: [{api}], routing: {{kind: overflow, order: [mine, api]}}}}"
    (one,) = candidates(written(tmp_path, chat(both, study="")), "t", (), ("h200",), ())
    sizes = {pool.index: _fixed(n) for pool, n in zip(one.pools(), (3, 8), strict=True)}
    assert one.values(sizes) == [
        ("pools[mine].gpu", "h200"),
        ("pools[mine].price_usd_per_gpu_hour", None),
        ("pools[mine].replicas", 3),
        ("providers[api].provisioned_units", 8),
    ]


def _fixed(replicas: int) -> Any:
    from simulator.resolve.sizes import Fixed

    return Fixed(replicas)


def test_progress_is_a_part_of_the_whole_for_each_candidate() -> None:
    told: list[tuple[str, float]] = []
    marks = _Marks(lambda label, share: told.append((label, share)), 4)
    marks.tick("a", 0.5)
    marks.next()
    marks.tick("b", 0.0)
    marks.next()
    marks.next()
    marks.tick("c", 1.0)
    assert told == [("a", pytest.approx(0.125)), ("b", pytest.approx(0.25)), ("c", pytest.approx(1.0))]
    _Marks(None, 4).tick("nobody listens", 0.5)


@pytest.mark.parametrize(("outside", "low"), [(0, 0), (1, 1)])
def test_a_pool_that_is_off_outside_of_its_windows_may_stay_off(tmp_path: Path, outside: int, low: int) -> None:
    pool = f"{{name: day, site: lambda, gpu: h100-sxm, replicas: {outside}, schedule: [{{hours: 8-18, replicas: 2}}]}}"
    (one,) = candidates(written(tmp_path, chat(f"clock: {{pools: [{pool}]}}", study="")), "clock", (), (), ())
    assert [found.low for found in one.pools()] == [low]
