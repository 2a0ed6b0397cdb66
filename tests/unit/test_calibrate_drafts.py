"""Keys of speculative decoding from recordings: the counts by hand, and what was drawn is found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrate.commands.drafts import drafts
from calibrate.fit.drafts import MeasuredDrafts, measured_drafts
from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Drafts, Modes
from simulator.engine.reference.worker import drawn, found
from simulator.engine.schedule_trace import ScheduleTrace, TraceRequest, TraceStep
from simulator.engine.trace_reader import load_schedule_trace
from simulator.errors import InputError

NGRAM = Path(__file__).parents[1] / "data/vllm-schedule-modes/0.33.0/a_spec_ngram.json.gz"


def recorded(config: EngineConfig, requests: int, tokens: int) -> ScheduleTrace:
    """Requests one after another, each alone in its steps: prompt, then its drafts as they are drawn."""
    accept, make, steps = drawn(config), found(config), []
    for number in range(requests):
        steps.append(TraceStep(len(steps), ((number, 5, 0),), (), 9))
        done = 1
        while done < tokens:
            made = make(number, done, config.num_speculative_tokens)
            right = accept(number, done, made)
            spec = ((number, made, right),) if made else ()
            steps.append(TraceStep(len(steps), ((number, 1 + made, 4 + done),), (), 9, spec=spec))
            done += 1 + right
    rows = tuple(TraceRequest(number, 0, ((number, 4),), tokens, 0) for number in range(requests))
    whole = load_schedule_trace(NGRAM)
    return replace(whole, config=config, requests=rows, steps=tuple(steps))


def test_what_was_drawn_is_measured() -> None:
    config = EngineConfig(
        99,
        num_speculative_tokens=3,
        acceptance_by_position=(0.8, 0.75, 0.5),
        drafted_share=0.4,
        drafted_run_steps=6.0,
        modes=Modes(drafts=Drafts(3)),
    )
    measured = measured_drafts([recorded(config, 30, 2000)])
    assert measured.acceptance_by_position == pytest.approx([0.8, 0.6, 0.3], abs=0.02)
    assert measured.drafted_share == pytest.approx(0.4, abs=0.03)
    assert measured.drafted_run_steps == pytest.approx(6.0, rel=0.06)


def test_counts_by_hand() -> None:
    """One request, prompt 4: a chunk of it, then drafts 2 (1 right), 2 (2 right), none, 1 (wrong), none."""
    spec = {1: (0, 2, 1), 2: (0, 2, 2), 4: (0, 1, 0)}
    steps = tuple(
        TraceStep(k, ((0, 1, before),), (), 9, spec=(spec[k],) if k in spec else ())
        for k, before in enumerate((0, 4, 6, 9, 10, 11))
    )
    whole = load_schedule_trace(NGRAM)
    trace = replace(whole, requests=(TraceRequest(0, 0, ((0, 4),), 20, 0),), steps=steps)
    counts = MeasuredDrafts(np.zeros(2, np.int64), np.zeros(2, np.int64))
    counts.add(trace)
    assert (counts.verified.tolist(), counts.accepted.tolist()) == ([3, 2], [2, 1])
    assert counts.acceptance_by_position == pytest.approx([2 / 3, 1 / 3])
    assert counts.drafted_share == 3 / 5
    assert counts.drafted_run_steps == 1.5
    assert counts.keys(looks_up=True) == {
        "num_speculative_tokens": 2,
        "acceptance_by_position": [0.6667, 0.3333],
        "drafted_share": 0.6,
        "drafted_run_steps": pytest.approx(1.5, abs=0.011),
    }
    assert "drafted_share" not in counts.keys(looks_up=False)


@pytest.mark.parametrize(("with_drafts", "share"), [(99_999, None), (1, 0.0001)])
def test_shares_that_round_to_all_or_none_are_keys_that_a_scenario_takes(with_drafts: int, share: float | None) -> None:
    counts = MeasuredDrafts(np.array([with_drafts]), np.array([0]), 100_000, with_drafts, with_drafts, ended=1)
    assert counts.keys(looks_up=True).get("drafted_share") == share


def test_a_recording_of_vllm_gives_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert drafts(NGRAM) == 0
    out = capsys.readouterr().out
    assert out.startswith("num_speculative_tokens: 4\nacceptance_by_position: [")
    assert "drafted_share: " in out
    with pytest.raises(InputError, match="no recording of an engine with drafts"):
        drafts(NGRAM.with_name("b_async_plain.json.gz"))
