"""The API process as a queue before the engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrate.serving.forecast import prepare, simulate_case
from calibrate.serving.front_end import heard_s, service_s
from calibrate.serving.measured import ClosedLoop, OpenLoop
from calibrate.serving.read import read_tables
from calibrate.serving.steps import catalog_steps
from simulator.catalog.overheads import front_end
from simulator.resolve.engines import plan_engine
from simulator.schema.engine import EngineSettings

POINTS = Path(__file__).parents[1] / "data" / "serving" / "points.csv"


def test_of_a_burst_the_engine_hears_after_all_are_rendered() -> None:
    np.testing.assert_allclose(heard_s(np.zeros(50), 0.01), np.full(50, 0.5))


def test_requests_far_apart_wait_for_none() -> None:
    arrival_s = np.arange(20.0)
    np.testing.assert_allclose(heard_s(arrival_s, 0.01), arrival_s + 0.01)


@settings(deadline=None)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=40), st.floats(1e-4, 0.5))
def test_laws_of_the_queue(gaps: list[float], each_s: float) -> None:
    arrival_s = np.cumsum(gaps)
    heard = heard_s(arrival_s, each_s)
    assert np.all(heard >= arrival_s + each_s - 1e-9)
    assert np.all(np.diff(heard) >= -1e-9), "first come, first heard"
    alone_s = arrival_s[0]
    for at in arrival_s:
        alone_s = max(alone_s, at) + each_s
    assert heard[-1] == pytest.approx(alone_s), "the process works whenever somebody waits"


def test_a_burst_waits_for_the_api_process() -> None:
    case = prepare(next(row for row in read_tables([POINTS]).rows if row.row_id == "burst"))
    chat = replace(case, row=replace(case.row, endpoint="chat"))
    plain, waiting = (simulate_case(one, catalog_steps(one), 0.5 if one is chat else None) for one in (case, chat))
    n = len(case.traffic.requests)
    added_s = waiting.figures["ttft", "mean"] - plain.figures["ttft", "mean"]
    assert added_s == pytest.approx(0.5 * n, rel=0.05)


def test_a_chat_alone_takes_its_rendering_beside_what_a_completion_takes() -> None:
    row = next(row for row in read_tables([POINTS]).rows if row.row_id == "burst")
    case = prepare(replace(row, load=OpenLoop(0.01, "constant"), num_requests=20))
    plain, chat = (simulate_case(case, catalog_steps(case), each_s) for each_s in (0.0, 0.05))
    added_s = chat.figures["ttft", "p50"] - plain.figures["ttft", "p50"]
    assert added_s == pytest.approx(0.05, abs=1e-6)


def test_users_of_a_closed_loop_wait_together_once_and_then_each_for_its_own_rendering() -> None:
    row = next(row for row in read_tables([POINTS]).rows if row.row_id == "burst")
    case = prepare(replace(row, load=ClosedLoop(8), num_requests=160))
    plain, chat = (simulate_case(case, catalog_steps(case), each_s) for each_s in (0.0, 1.0))
    added_s = {name: chat.figures["ttft", name] - plain.figures["ttft", name] for name in ("p50", "mean")}
    assert added_s["p50"] == pytest.approx(1.0, rel=0.05)
    assert added_s["mean"] == pytest.approx((8 * 8 * 1.0 + 152 * 1.0) / 160, rel=0.05)
    between_s = chat.figures["e2e", "mean"] - plain.figures["e2e", "mean"]
    assert between_s == pytest.approx(added_s["mean"], rel=0.1), "the engine itself is as fast as before"


@pytest.mark.parametrize(("model", "name"), [("llama-3.1-8b", "template_s"), ("gpt-oss-20b", "own_s")])
def test_a_fleets_chats_take_the_rendering_that_published_ones_do(model: str, name: str) -> None:
    chat, told, prompts = (
        plan_engine(model, "h100-sxm", 1, 1, EngineSettings.model_validate(said), Path()).step_time
        for said in ({}, {"endpoint": "chat"}, {"endpoint": "completions"})
    )
    row = next(row for row in read_tables([POINTS]).rows if row.row_id == "burst")
    each_s = service_s(replace(row, model=model, endpoint="chat"))
    assert each_s == getattr(front_end(), name).value
    assert chat.request_overhead_s == told.request_overhead_s
    assert chat.request_overhead_s - prompts.request_overhead_s == pytest.approx(each_s)
    assert (chat.seq_time_s == prompts.seq_time_s).all(), "the engine's steps are the same"
    assert (chat.token_time_s == prompts.token_time_s).all()


def test_the_engine_of_a_published_row_takes_prompts_as_its_own_queue_hands_them_on() -> None:
    row = next(row for row in read_tables([POINTS]).rows if row.row_id == "burst")
    ways = [prepare(replace(row, endpoint=endpoint)).engine.step_time for endpoint in ("chat", "completions")]
    assert ways[0].request_overhead_s == ways[1].request_overhead_s
