"""How far advice on sizes looks, and what it says: small parts by hand."""

from __future__ import annotations

from typing import Any

from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.schema.pool import Pool
from simulator.size.advice import (
    _fails_as_written,
    _in_place_of,
    _most,
    _on_what,
    _wider,
    _with_open_schedule,
    _written,
)


def pool(**more: Any) -> Pool:
    return Pool.model_validate({"name": "p", "site": "lambda", "gpu": "h100-sxm", "replicas": 3} | more)


def test_what_is_written_of_a_pool_is_its_largest_number() -> None:
    scheduled = pool(schedule=[{"hours": "8-18", "replicas": 7}, {"days": "sat", "replicas": 7}, {"replicas": 5}])
    assert (_written(pool()), _written(scheduled)) == (Fixed(3), Fixed(7))
    scaler = {"min": 2, "max": 9, "target_per_replica": 6, "metric": "waiting"}
    assert _written(
        Pool.model_validate(pool().model_dump(exclude_unset=True, exclude={"replicas"}) | {"autoscaler": scaler})
    ) == (Scaled(2, 9, 6.0))
    opened = _with_open_schedule(scheduled)
    assert ([one.replicas for one in opened.schedule], opened.replicas) == (["auto", "auto", 5], 3)
    night = _with_open_schedule(pool(replicas=7, schedule=[{"hours": "22-6", "replicas": 2}]))
    assert ([one.replicas for one in night.schedule], night.replicas) == ([2], "auto")
    assert (_in_place_of(Fixed(7), scheduled), _in_place_of(Fixed(3), pool())) == (" where its schedule has 7", "")


def test_how_far_advice_looks() -> None:
    plain, stepped = OpenPool(0, "a", 1, 1, owned=False), OpenPool(0, "a", 3, 4, owned=False)
    scaled = OpenPool(0, "a", 1, 1, owned=False, scaler=(None, None, None))
    assert _most((plain,), (Fixed(5),), []) == 5
    assert _most((stepped,), (Fixed(5),), []) == 12
    assert _most((plain, plain), (Fixed(5), Fixed(2)), [(Fixed(1), Fixed(6))]) == 12
    assert _most((scaled,), (Scaled(1, 5, 4.0),), []) == 8
    assert _most((), (), []) == 1
    assert [_wider(n) for n in (0, 1, 4, 5)] == [0, 2, 6, 8]


def test_a_size_says_its_instance_where_several_are_sold() -> None:
    assert _on_what("p", Fixed(3), pool()).startswith("p 3 on gpu_")
    assert _on_what("p", Fixed(3), None) == "p 3"
    assert _on_what("p", Fixed(3), pool(price_usd_per_gpu_hour=2.0)) == "p 3"
    assert _on_what("p", Fixed(3, "gpu_8x_h100_sxm5"), pool()) == "p 3 on gpu_8x_h100_sxm5"


def test_a_pool_whose_faults_are_written_is_not_taken_away() -> None:
    assert not _fails_as_written(pool())
    assert _fails_as_written(pool(outages={"mtbf_h": 100, "mttr_h": 1}))
