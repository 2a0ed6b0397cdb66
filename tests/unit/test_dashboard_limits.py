"""What a visitor may ask of a server that others share, at the very edge of each limit."""

from __future__ import annotations

import math
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_cases import chat, written

from dashboard import limits as place
from dashboard.limits import (
    _too_large,
    check_size,
    expected_requests,
    limit_memory,
    refuse_long_text,
    refuse_many_uploads,
)
from simulator.errors import InputError

FLEET = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 1}]}"
OTHER = "more: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 2}]}"
SCALED = (
    "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 1, "
    "autoscaler: {kind: queue, metric: waiting, target_per_replica: 8, min: 1, max: 2, period_s: PERIOD}}]}"
)


def refusal(loaded: Any) -> str:
    with pytest.raises(InputError) as caught:
        check_size(loaded)
    return str(caught.value)


def test_samples_of_the_fleet_are_at_most_twenty_thousand(tmp_path: Path) -> None:
    text = chat(FLEET, study="months: 1")
    assert check_size(written(tmp_path, text, "run.sample_s=0.003")) > 0, "60 s in 20,000 samples"
    told = refusal(written(tmp_path, text, "run.sample_s=0.0029"))
    assert "must be at least 0.003 here (got 0.0029)" in told


def test_decisions_of_an_autoscaler_are_at_most_five_million(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "MAX_DECISIONS", 30)
    assert check_size(written(tmp_path, chat(SCALED.replace("PERIOD", "2.0"), study="months: 1"))) > 0
    told = refusal(written(tmp_path, chat(SCALED.replace("PERIOD", "1.5"), study="months: 1")))
    assert "topologies.own.pools[0].autoscaler.period_s" in told
    assert "must be at least 2 here (got 1.5)" in told


def test_requests_are_those_of_all_topologies_and_replications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = expected_requests(written(tmp_path, chat(FLEET, study="months: 1")))
    assert one == pytest.approx(15 * 60, rel=0.15)
    loaded = written(tmp_path, chat(FLEET, OTHER, study="months: 1", replications=3))
    assert expected_requests(loaded) == 6 * one
    monkeypatch.setattr(place, "MAX_REQUESTS", 6 * one)
    assert check_size(loaded) == 6 * one
    monkeypatch.setattr(place, "MAX_REQUESTS", 6 * one - 1)
    assert "simulated requests allowed here come in it: lower it, or run.replications (got 60" in refusal(loaded)


def test_users_who_wait_send_at_most_one_request_a_second_beside_their_thoughts(tmp_path: Path) -> None:
    arrivals = "workload.classes[0].arrivals={kind: closed_loop, concurrency: 12, think_s: 2.0}"
    loaded = written(tmp_path, chat(FLEET, study="months: 1", replications=2), arrivals)
    first = sum(map(len, place.request_source(loaded).chunks()))
    assert expected_requests(loaded) == 2 * (60 * 12 / (1 + 2.0) + first)


def test_rows_of_requests_are_kept_up_to_their_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = written(tmp_path, chat(FLEET, study="months: 1"), "run.keep_requests=true")
    count = int(expected_requests(loaded))
    monkeypatch.setattr(place, "MAX_KEPT_REQUESTS", count)
    assert check_size(loaded) == count
    monkeypatch.setattr(place, "MAX_KEPT_REQUESTS", count - 1)
    assert f"about {count:,} rows are more than the {count - 1:,} allowed here" in refusal(loaded)
    assert check_size(written(tmp_path, chat(FLEET, study="months: 1"))) == count, "none are kept"


def test_a_text_is_as_long_as_is_read_in_two_seconds() -> None:
    refuse_long_text("x" * 100_000, "here")
    with pytest.raises(InputError, match="is longer than 100,000 characters"):
        refuse_long_text("x" * 100_001, "here")
    refuse_long_text("\n,[{?" * 2_000, "here")
    with pytest.raises(InputError, match="has more than 10,000 values"):
        refuse_long_text("\n,[{?" * 2_000 + "?", "here")


def test_uploads_are_few_and_small_together() -> None:
    refuse_many_uploads({str(number): b"" for number in range(20)})
    refuse_many_uploads({"a": b"x" * 2**22, "b": b"x" * 2**22})
    for uploads in ({str(number): b"" for number in range(21)}, {"a": b"x" * 2**22, "b": b"x" * (2**22 + 1)}):
        with pytest.raises(InputError, match="more than 20 files of 8 MiB in all"):
            refuse_many_uploads(uploads)


@pytest.mark.parametrize(("hard", "most"), [(resource.RLIM_INFINITY, 100), (1000, 100), (30, 30)])
def test_a_process_takes_no_more_memory_than_it_is_given(hard: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    known = SimpleNamespace(
        RLIMIT_DATA="data",
        RLIM_INFINITY=resource.RLIM_INFINITY,
        getrlimit=lambda kind: (7, hard),
        setrlimit=lambda *given: asked.append(given),
    )
    monkeypatch.setattr(place, "resource", known)
    limit_memory(100)
    assert asked == [("data", (most, hard))]


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ({"run": {"replications": 200, "drain_s": 366 * 86_400.0, "keep": True}}, []),
        ({"run": {"replications": 201}}, [("run.replications", 201)]),
        ({"topologies": {"a": {"pools": [{"replicas": 2001}]}}}, [("topologies.a.pools[0].replicas", 2001)]),
        ({"pools": [0] * 32}, []),
        ({"stock_outs": [0] * 1000, "throttling": [0] * 1001}, [("throttling", 1001)]),
        ({"stock_outs": [0] * 1001, "server_failures": [0] * 1001}, [("stock_outs", 1001), ("server_failures", 1001)]),
        ({"run": {"pools": [{"replications": 9999}] * 33}}, [("run.pools", 33)]),
        ({"other": [0] * 99, "run": {"horizon_s": math.inf}}, [("run.horizon_s", math.inf)]),
    ],
)
def test_numbers_and_lists_have_their_largest(node: Any, found: list[tuple[str, float]]) -> None:
    assert [(path, value) for path, _, value in _too_large(node, "")] == found
