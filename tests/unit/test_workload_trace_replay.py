"""Replay of traces: faster or slower, round after round, by class, with lengths of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trace_cases import HEADER, TRACES, segments, written

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests
from simulator.workload.source import build_source
from simulator.workload.spec import Brought, ClassWorkload, Constant, Leaves, Trace, WorkloadSpec
from simulator.workload.trace_file import load_trace


def replayed(trace: Trace, horizon_s: float, name: str = "chat", isl: Constant | None = None) -> Requests:
    spec = WorkloadSpec((ClassWorkload(name, trace, isl),))
    (chunk,) = build_source(spec, horizon_s, 1).chunks()
    return chunk


OWN = TRACES / "table.csv"
CHAT, CODE = Trace(OWN, Reading(leave_out=("code",))), Trace(OWN, Reading(leave_out=("chat",)))


def test_replay_divides_times_and_ends() -> None:
    requests = replayed(Trace(TRACES / "burstgpt.csv", rate_scale=4.0), 1e6)
    assert requests.arrival_s.tolist() == [0.0, 10.0, 28.25]
    assert replayed(Trace(TRACES / "burstgpt.csv"), 100.0).isl.tolist() == [472, 1087]


def test_loop_keeps_the_mean_gap_and_brings_new_content() -> None:
    requests = replayed(Trace(TRACES / "mooncake.jsonl", loop=True), 3 * 3.518 * 1.5 - 1e-9)
    assert len(requests) == 9
    period_s = 3.518 * 1.5
    np.testing.assert_allclose(requests.arrival_s[3:], requests.arrival_s[:-3] + period_s)
    assert requests.isl.tolist() == [1400, 1024, 600] * 3
    rounds = [{segment for row in range(3 * k, 3 * k + 3) for segment, _ in segments(requests, row)} for k in range(3)]
    assert len(set.union(*rounds)) == sum(len(ids) for ids in rounds)
    assert len(requests) / (3 * period_s) == pytest.approx(2 / 3.518)


def test_class_takes_the_rows_labelled_with_its_name() -> None:
    assert replayed(CHAT, 100.0).isl.tolist() == [700, 40, 1500]
    assert replayed(CODE, 100.0, "code").isl.tolist() == [512]
    both = WorkloadSpec((ClassWorkload("chat", Trace(OWN)), ClassWorkload("code", Trace(OWN))))
    (chunk,) = build_source(both, 100.0, 1).chunks()
    assert sorted(chunk.isl.tolist()) == [40, 512, 700, 1500]
    with pytest.raises(InputError, match="unknown class 'chatt': did you mean 'chat'"):
        replayed(Trace(TRACES / "table.csv"), 100.0, "chatt")


def test_own_lengths_replace_recorded_ones_and_segments_still_fit() -> None:
    requests = replayed(Trace(TRACES / "mooncake.jsonl"), 100.0, isl=Constant(700))
    assert requests.isl.tolist() == [700, 700, 700]
    assert requests.osl.tolist() == [52, 26, 3]
    assert segments(requests, 0) == [(0, 512), (1, 188)]


def test_a_trace_without_duration_cannot_loop(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("arrival_s,input_tokens,output_tokens\n0,1,2\n")
    with pytest.raises(InputError, match="cannot loop"):
        replayed(Trace(tmp_path / "one.csv", loop=True), 10.0)


def test_rows_whose_label_no_class_has_are_refused_with_their_number(tmp_path: Path) -> None:
    rows = [f"{k},100,10,{label}" for k, label in enumerate(["chat", "Chat", "batch"] * 20)]
    file = written(tmp_path, "labels.csv", "\n".join([f"{HEADER},class", *rows]) + "\n")
    with pytest.raises(InputError, match="40 of 60 rows bear labels that no class has: 'Chat' 20, 'batch' 20"):
        replayed(Trace(file), 100.0)
    assert len(replayed(Trace(file, Reading(leave_out=("Chat", "batch"))), 100.0)) == 20
    with pytest.raises(InputError, match="unknown class 'bath': did you mean 'batch'"):
        load_trace(file, Reading(leave_out=("bath",)))


def test_requests_bring_the_acceptance_of_their_drafts(tmp_path: Path) -> None:
    """By rows of the class, beside what else it brings; empty is what the engine has, and others are errors."""
    rows = f"{HEADER},class,took\n0,9,9,code,0.9\n2,8,9,chat,\n1,7,9,chat,0.4\n"
    trace = Trace(written(tmp_path, "own.csv", rows), Reading(columns=(("acceptance", "took"),), leave_out=("code",)))
    spec = WorkloadSpec((ClassWorkload("chat", trace, n=2, brought=Brought(leaves=Leaves(1.0, 5.0))),))
    (chunk,) = build_source(spec, 10.0, 1).chunks()
    assert chunk.isl.tolist() == [7, 7, 8, 8]
    assert chunk.extras is not None
    assert chunk.extras.acceptance.tolist() == [0.4, 0.4, -1.0, -1.0]
    assert (chunk.extras.leaves_s > 0).all()
    for value in ("1.01", "-1", "often"):
        broken = written(tmp_path, f"{value}.csv", f"{HEADER},acceptance\n0,9,9,0.5\n1,9,9,{value}\n")
        with pytest.raises(InputError, match="acceptance must be") as caught:
            load_trace(broken)
        assert [(problem.line, problem.got) for problem in caught.value.problems] == [(3, value)]
