"""Whether an engine had the processors that it wanted, and what is left of a load in which requests failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrate.driver.processors import ProcessorTime, cpu_share, group_of, processor_time
from calibrate.experiments.loads import Load
from calibrate.experiments.profile import contention
from calibrate.experiments.server import served
from calibrate.vllm_process import EngineError


def proc(folder: Path, threads: dict[str, str], group: int = 7) -> Path:
    for thread, counted in threads.items():
        place = folder / "41" / "task" / thread
        place.mkdir(parents=True)
        (place / "schedstat").write_text(counted)
    (folder / "41" / "stat").write_text(f"41 (a (b) c) S 1 {group} {group} 0")
    return folder


def test_times_of_all_threads_are_summed(tmp_path: Path) -> None:
    found = processor_time([41], proc(tmp_path, {"41": "3000000000 500000000 9", "42": "1000000000 500000000 2"}))
    assert found == ProcessorTime(running_s=4.0, waiting_s=1.0)
    assert group_of(7, tmp_path) == [41]
    assert group_of(8, tmp_path) == []


def test_what_is_not_counted_is_not_known(tmp_path: Path) -> None:
    assert processor_time([41], proc(tmp_path, {"41": "not so"})) is None
    known = ProcessorTime(1.0, 0.0)
    assert cpu_share(None, known) is cpu_share(known, None) is cpu_share(known, known) is None


@pytest.mark.parametrize("threads", [1, 8])
def test_contention_is_told_with_any_number_of_threads(threads: int) -> None:
    share = cpu_share(ProcessorTime(10.0, 1.0), ProcessorTime(10.0 + 6 * threads, 1.0 + 2 * threads))
    assert share == pytest.approx(0.75)
    assert "75 % of the time" in str(contention(share, {"type": "cpu", "threads": threads}))
    assert contention(0.95, {"type": "cpu", "threads": threads}) is None
    assert contention(None, {"type": "cpu", "threads": threads}) is None
    assert contention(share, {"type": "cuda"}) is None


def client(failed: int, requests: int) -> dict[str, Any]:
    bad = [k < failed for k in range(requests)]
    return {
        "errors": ["Traceback\n429 Too Many Requests" if each else "" for each in bad],
        "start_times": [100.0 + k for k in range(requests)],
        "input_lens": [8] * requests,
        "output_lens": [0 if each else 3 for each in bad],
        "ttfts": [0.0 if each else 0.25 for each in bad],
        "itls": [[] if each else [0.5, 0.5] for each in bad],
    }


def load(requests: int) -> Load:
    return Load("poisson", None, 1.0, np.arange(requests) * 1.0, np.full(requests, 8), np.full(requests, 3))


def test_a_few_failed_requests_are_left_out_and_counted() -> None:
    steps = np.array([[99.5, 0.1, 1, 8], [101.0, 0.1, 1, 8]])
    run = served(client(2, 100), steps, load(100))
    assert run["failed"] == 2
    assert len(run["requests"]) == 98
    first = run["requests"][0]
    assert (first["arrival_s"], first["first_token_s"], first["finished_s"]) == (2.0, 2.25, 3.25)
    assert run["steps"] == [[1.0, 0.1, 1.0, 8.0]]


def test_a_load_in_which_many_fail_is_no_measurement() -> None:
    with pytest.raises(EngineError, match="3 of 100 requests failed: 429 Too Many Requests"):
        served(client(3, 100), np.zeros((0, 4)), load(100))
    asked_more = load(100)
    asked_more.osl[:] = 4
    with pytest.raises(EngineError, match="100 of 100 requests failed: other tokens than asked for"):
        served(client(0, 100), np.zeros((0, 4)), asked_more)
