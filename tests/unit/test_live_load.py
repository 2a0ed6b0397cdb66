"""The load that a server's made-up counters tell: rates, lengths and hits by hand, and requests that are like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrate.live.histogram import Histogram, from_json
from calibrate.live.load import seen_load, twin_requests
from calibrate.live.window import Observation, Window
from simulator.errors import InputError
from simulator.rng import stream


def histogram(values: list[float], edges: tuple[float, ...]) -> Histogram:
    cumulative = np.array([sum(value <= edge for value in values) for edge in edges], np.float64)
    return Histogram(np.array(edges), cumulative, float(sum(values)))


ISL = histogram([60.0] * 30 + [180.0] * 10, (50.0, 100.0, 200.0, np.inf))
OSL = histogram([8.0] * 40, (5.0, 10.0, np.inf))
GAPS = histogram([0.02] * 300, (0.05, np.inf))


def seen(*arrivals: float, duration_s: float = 10.0, **given: Any) -> Observation:
    """Windows of ten seconds; of 4,000 prompt tokens that were looked up a quarter was there."""
    counters = {"finished": 40.0, "prefix_queries": 4000.0, "prefix_hits": 1000.0, **given.pop("counters", {})}
    histograms = {"isl": ISL, "osl": OSL, "itl_s": GAPS, **given}
    nothing = dict.fromkeys(counters, 0.0)
    empty = {name: Histogram(one.edges, 0 * one.cumulative, 0.0) for name, one in histograms.items()}
    windows = [
        Window(
            duration_s * k,
            duration_s * (k + 1),
            n,
            nothing if k else counters,
            empty if k else histograms,
            0.0,
            0.0,
            0.0,
        )
        for k, n in enumerate(arrivals)
    ]
    return Observation(tuple(windows), (), {})


def test_the_load_is_what_the_counters_say() -> None:
    found = seen_load(seen(30.0, 60.0))
    assert found.rate_rps == pytest.approx(90 / 20)
    assert (found.isl_mean, found.osl_mean) == ((30 * 60 + 10 * 180) / 40, 8.0)
    assert (found.hit_share, found.shared_tokens) == (0.25, round(0.25 * 90))


@pytest.mark.parametrize(("hits", "shared"), [(0.0, 0), (39.9, 0), (40.0, 1), (4000.0, 90)])
def test_hits_of_less_than_a_hundredth_are_none(hits: float, shared: int) -> None:
    assert seen_load(seen(30.0, counters={"prefix_hits": hits})).shared_tokens == shared
    assert seen_load(seen(30.0, counters={"prefix_queries": 0.0})).hit_share == 0.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"counters": {"finished": 19.0}}, "19 requests finished in 10 s: at least 20 are needed"),
        ({"isl": Histogram(ISL.edges, 0 * ISL.cumulative, 0.0)}, "nothing in vllm:request_prompt_tokens"),
        ({"itl_s": Histogram(GAPS.edges, 0 * GAPS.cumulative, 0.0)}, "nothing in vllm:inter_token_latency_seconds"),
    ],
)
def test_what_says_nothing_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        seen_load(seen(30.0, **given))
    seen_load(seen(30.0, counters={"finished": 20.0}))
    seen_load(seen(5_000_000.0))
    with pytest.raises(InputError, match="at most 5,000,000 are simulated"):
        seen_load(seen(5_000_001.0))


def test_requests_of_the_twin_come_in_their_windows_and_share_a_beginning() -> None:
    found = twin_requests(seen(300.0, 0.0, 100.4), 3)
    assert len(found) == 400
    assert (np.diff(found.arrival_s) >= 0).all()
    inside = np.histogram(found.arrival_s, [0.0, 10.0, 20.0, 30.0])[0]
    assert inside.tolist() == [300, 0, 100]
    assert found.isl.mean() == pytest.approx(90.0, rel=0.05)
    assert (found.osl.mean(), found.osl.min() > 5, found.osl.max() <= 10) == (pytest.approx(8.0, rel=0.05), True, True)
    assert found.segment_tokens.tolist() == np.minimum(found.isl, 22).tolist()
    assert set(found.segment_id.tolist()) == {0}
    assert not len(twin_requests(seen(9.0, counters={"prefix_hits": 0.0}), 3).segment_id)
    again, other = (twin_requests(seen(300.0), seed).arrival_s.tolist() for seed in (3, 4))
    assert twin_requests(seen(300.0), 3).arrival_s.tolist() == again != other


def test_lengths_are_in_their_buckets_and_have_the_mean() -> None:
    drawn = ISL.sample_whole(stream(1, "lengths"), 20_000)
    counted = np.histogram(drawn, [0.5, 50.5, 100.5, 200.5, 1e9])[0] / 20_000
    assert counted.tolist() == pytest.approx([0.0, 0.75, 0.25, 0.0], abs=0.01)
    assert drawn.mean() == pytest.approx(90.0, rel=0.01)
    beyond = histogram([1.0] * 50 + [300.0] * 50, (10.0, 100.0, np.inf))
    assert beyond.sample_whole(stream(1, "lengths"), 20_000).mean() == pytest.approx(150.5, rel=0.05)


def test_histograms_are_added_over_the_edges_that_both_have() -> None:
    one, other = histogram([0.5, 1.5, 9.0], (1.0, 2.0, np.inf)), histogram([0.5, 2.5], (1.0, 3.0, np.inf))
    both = one.plus(other)
    assert (both.edges.tolist(), both.cumulative.tolist(), both.total) == ([1.0, np.inf], [2.0, 5.0], 14.0)
    assert [one.quantile_bounds(q) for q in (0.3, 0.34, 0.67, 1.0)] == [
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, np.inf),
        (2.0, np.inf),
    ]
    assert from_json(one.as_json()).cumulative.tolist() == one.cumulative.tolist()
    assert from_json(one.as_json()).edges.tolist() == one.edges.tolist()
    more = histogram([0.5, 1.5, 1.5, 9.0], (1.0, 2.0, np.inf))
    assert (more.fell_since(one), one.fell_since(more), more.fell_since(other)) == (False, True, True)
    assert more.minus(one).counts.tolist() == [0.0, 1.0, 0.0]
