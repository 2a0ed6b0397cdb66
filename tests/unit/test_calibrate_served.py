"""What vLLM's client saw of a load that its server answered: failed requests are few, or it was another load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrate.experiments.loads import Load
from calibrate.experiments.server import outside_s, served
from calibrate.vllm_process import EngineError

STEPS = np.array([[49.0, 0.5, 2, 2], [50.0, 0.5, 2, 2], [50.5, 0.25, 0, 0], [51.0, 0.25, 7, 1], [52.0, 0.5, 1, 3]])
"""Start, duration, tokens and sequences by the machine's clock; the third had nothing to compute."""


def load(count: int) -> Load:
    return Load("poisson", 1.0, 0.5, 3.0 + np.arange(count), np.full(count, 8, np.int32), np.full(count, 2, np.int32))


def client(count: int, **other: Any) -> dict[str, Any]:
    told = {
        "start_times": [50.0 + number for number in range(count)],
        "input_lens": [8] * count,
        "output_lens": [2] * count,
        "ttfts": [0.25] * count,
        "itls": [[0.5]] * count,
        "errors": [""] * count,
    }
    return {**told, **other}


def test_the_first_request_that_is_sent_sets_the_clock() -> None:
    sent = client(3, start_times=[52.0, 50.0, 53.5], input_lens=[8, 9, 10])
    run = served(sent, STEPS, load(3))
    assert [request["arrival_s"] for request in run["requests"]] == [5.0, 3.0, 6.5]
    assert [request["isl"] for request in run["requests"]] == [8, 9, 10]
    assert [request["first_token_s"] for request in run["requests"]] == [5.25, 3.25, 6.75]
    assert [request["finished_s"] for request in run["requests"]] == [5.75, 3.75, 7.25]
    assert run["steps"] == [[4.0, 0.25, 7.0, 1.0], [5.0, 0.5, 1.0, 3.0]], "after the first start, with tokens"


def test_a_fiftieth_of_the_requests_may_fail() -> None:
    errors = ["", "Traceback\n  in a call\nconnection reset  \n", *[""] * 48]
    run = served(client(50, errors=errors), STEPS, load(50))
    assert (run["failed"], len(run["requests"])) == (1, 49)
    assert [request["arrival_s"] for request in run["requests"][:2]] == [3.0, 5.0], "the one that failed is left out"
    with pytest.raises(EngineError, match=r"^failed: 2 of 50 requests failed: other tokens than asked for$|2 of 50"):
        served(client(50, output_lens=[1, 3, *[2] * 48]), STEPS, load(50))
    errors[40] = "another"
    with pytest.raises(EngineError, match="2 of 50 requests failed: connection reset"):
        served(client(50, errors=errors), STEPS, load(50))


def test_a_client_that_tells_no_errors_had_none() -> None:
    assert served(client(2, errors=None), STEPS, load(2))["failed"] == 0
    with pytest.raises(EngineError, match="2 of 2 requests failed: other tokens than asked for"):
        served(client(2, errors=None, output_lens=[3, 1]), STEPS, load(2))


def test_a_token_before_any_step_has_ended_tells_nothing_of_the_way_to_the_client() -> None:
    steps = [[0.0, 1.0, 1, 1], [1.5, 0.5, 1, 1]]
    firsts = [0.5, 1.125, 2.25, 2.5]
    run = {"steps": steps, "requests": [{"first_token_s": at} for at in firsts]}
    assert outside_s(run) == 0.25, "the median of 0.125, 0.25 and 0.5"
