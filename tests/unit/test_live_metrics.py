"""Reading, polling and keeping a server's metrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_server import ServerMetrics, serving

from calibrate.live.histogram import Histogram, from_json
from calibrate.live.poll import Clock, Gap, poll, read_recording, record
from calibrate.live.scrape import Snapshot, parse
from calibrate.live.window import observe
from simulator.errors import InputError
from simulator.rng import stream

REQUEST = {
    "arrival_s": 0.0,
    "scheduled_s": 0.1,
    "finish_s": 2.0,
    "isl": 300,
    "osl": 20,
    "cached_tokens": 64,
}


def test_a_page_is_read_by_our_names() -> None:
    metrics = ServerMetrics()
    metrics.finish(REQUEST, 0.5)
    snapshot = parse(metrics.page(running=3.0), 10.0)
    assert snapshot.counters["finished"] == 1.0
    assert snapshot.counters["prefix_hits"] == 64.0
    assert snapshot.gauges["running"] == 3.0
    assert snapshot.histograms["isl"].mean == 300.0
    assert snapshot.histograms["isl"].quantile_bounds(0.5) == (200.0, 500.0)
    assert snapshot.histograms["ttft_s"].mean == pytest.approx(0.5)
    assert snapshot.histograms["itl_s"].count == 19.0
    assert snapshot.cache == {"block_size": "16", "num_gpu_blocks": "4000"}


def test_engines_of_one_model_add_up_and_several_models_need_a_name() -> None:
    metrics = ServerMetrics()
    metrics.finish(REQUEST, 0.5)
    page = metrics.page(running=2.0)
    second = "\n".join(line for line in page.splitlines() if not line.startswith("#")).replace(
        'engine="0"', 'engine="1"'
    )
    both = parse(page + second + "\n", 0.0)
    assert both.gauges["running"] == 4.0
    assert both.histograms["isl"].count == 2.0
    other = second.replace('model_name="m"', 'model_name="n"')
    with pytest.raises(InputError, match="name one: m, n"):
        parse(page + other + "\n", 0.0)
    assert parse(page + other + "\n", 0.0, "n").gauges["running"] == 2.0
    with pytest.raises(InputError, match="no such model"):
        parse(page, 0.0, "other")


def test_series_of_another_version_are_named() -> None:
    page = ServerMetrics().page().replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    with pytest.raises(InputError, match="missing: vllm:kv_cache_usage_perc"):
        parse(page, 0.0)
    with pytest.raises(InputError, match="no series of vLLM"):
        parse("# TYPE up gauge\nup 1\n", 0.0)


def test_a_server_that_stops_answering_leaves_a_gap_and_the_watch_goes_on(tmp_path: Path) -> None:
    metrics = ServerMetrics()
    pages: list[str | None] = []
    for k in range(6):
        metrics.finish(REQUEST, 0.5)
        pages.append(None if k in (2, 3) else metrics.page())
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with serving(pages) as url:
        polls = list(record(poll(url, 1.0, 5.0, Clock(lambda: now[0], sleep), timeout_s=5.0), tmp_path / "polls.jsonl"))
    assert [isinstance(entry, Gap) for entry in polls] == [False, False, True, True, False, False]
    observation = observe(polls)
    assert [(window.start_s, window.end_s) for window in observation.windows] == [(0.0, 1.0), (4.0, 5.0)]
    assert [(begin, end) for begin, end, _ in observation.gaps] == [(1.0, 4.0)]
    again = observe(read_recording(tmp_path / "polls.jsonl"))
    assert again.counter("finished") == observation.counter("finished") == 2.0


def test_a_restart_is_a_gap() -> None:
    before, after = ServerMetrics(), ServerMetrics()
    before.finish(REQUEST, 0.5)
    polls: list[Snapshot | Gap] = [parse(before.page(), 0.0), parse(after.page(), 1.0), parse(after.page(), 2.0)]
    observation = observe(polls)
    assert observation.gaps == ((0.0, 1.0, "the server was restarted"),)
    assert len(observation.windows) == 1


def test_a_server_that_never_answers_is_an_error() -> None:
    clock = Clock(lambda: 0.0, lambda seconds: None)
    with serving([None]) as url, pytest.raises(InputError, match="does not answer"):
        list(poll(url, 1.0, 5.0, clock, timeout_s=5.0))


def test_a_broken_recording_names_the_line_and_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    good = '{"format": "servecast-live/1", "gap": "x", "time_s": 1.0}'
    path = tmp_path / "polls.jsonl"
    path.write_text(f"{good}\n{good[:-20]}")
    assert len(read_recording(path)) == 1
    path.write_text(f"{good}\nnonsense\n{good}\n")
    with pytest.raises(InputError, match=r"polls\.jsonl:2"):
        read_recording(path)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_its_bucket_and_the_mean_is_exact(values: list[int], q: float) -> None:
    edges = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, np.inf])
    data = np.array(values, np.float64)
    histogram = Histogram(edges, np.searchsorted(np.sort(data), edges, side="right").astype(np.float64), data.sum())
    low, high = histogram.quantile_bounds(q)
    assert low < np.quantile(data, q, method="inverted_cdf") <= high
    assert histogram.mean == pytest.approx(data.mean())
    assert from_json(histogram.as_json()).quantile_bounds(q) == (low, high)


def test_drawn_lengths_keep_shares_and_mean() -> None:
    data = np.minimum(np.maximum(stream(1, "lengths").lognormal(5.0, 0.9, 20_000), 1), 4000).round()
    edges = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, np.inf])
    histogram = Histogram(edges, np.searchsorted(np.sort(data), edges, side="right").astype(np.float64), data.sum())
    drawn = histogram.sample_whole(stream(2, "draw"), 20_000)
    assert drawn.mean() == pytest.approx(data.mean(), rel=0.03)
    share = np.searchsorted(np.sort(drawn), edges, side="right") / len(drawn)
    np.testing.assert_allclose(share, histogram.cumulative / histogram.count, atol=0.015)
