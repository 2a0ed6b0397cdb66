"""Recorded conversations whose turns wait for the answer before: links, pauses, content, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fleet_cases import Source, fleet, pool, serve
from trace_cases import segments

from simulator.errors import InputError
from simulator.scenario.load import load_scenario
from simulator.workload.levels import at_level
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Trace, WorkloadSpec
from simulator.workload.trace_file import load_trace

HEADER = "arrival_s,input_tokens,output_tokens,session_id"
TALKS = [
    (0.0, 100, 10, "a"),
    (1.0, 50, 5, ""),
    (2.0, 80, 20, "b"),
    (10.0, 150, 10, "a"),
    (12.0, 90, 5, "b"),
    (30.0, 170, 10, "a"),
]
"""a grows (150 >= 100 + 10, 170 >= 150 + 10); b begins anew (90 < 80 + 20)."""


def written(folder: Path, *more: str, columns: str = "") -> Path:
    file = folder / "talks.csv"
    lines = [",".join(map(str, row)) for row in TALKS]
    file.write_text("\n".join([HEADER + columns, *map("".join, zip(lines, more or [""] * 6, strict=True))]) + "\n")
    return file


def turns(file: Path, horizon_s: float = 100.0, think_s: float | None = None, **trace: float | bool) -> Requests:
    reading = Reading(turns=True, think_s=think_s)
    spec = WorkloadSpec((ClassWorkload("chat", Trace(file, reading, **trace)),))
    (chunk,) = build_source(spec, horizon_s, 1).chunks()
    return chunk


def chain(requests: Requests, row: int) -> list[int]:
    found = [row]
    while requests.next_turn[found[-1]] >= 0:
        found.append(int(requests.next_turn[found[-1]]))
    return found


def test_turns_of_a_session_follow_one_another_and_share_what_was_said(tmp_path: Path) -> None:
    requests = turns(written(tmp_path), think_s=3.0)
    assert requests.n_open == 3
    assert requests.arrival_s[:3].tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(requests.arrival_s[3:]).all()
    a, alone, b = (chain(requests, row) for row in range(3))
    assert [requests.isl[row] for row in a] == [100, 150, 170]
    assert [requests.isl[row] for row in b] == [80, 90]
    assert alone == [1]
    assert requests.think_s[a].tolist() == [0.0, 3.0, 3.0]
    texts = [segments(requests, row) for row in a]
    assert [tokens for ((_, tokens),) in texts] == [100, 150, 170]
    assert len({text for ((text, _),) in texts}) == 1
    assert len({text for row in b for text, _ in segments(requests, row)}) == 2
    assert segments(requests, 1) == []
    assert requests.output_continues.tolist() == [True, False, True, True, True, True]


def test_a_pause_is_what_the_file_says_or_what_is_left_of_the_gap(tmp_path: Path) -> None:
    said = turns(written(tmp_path, ",", ",", ",", ",4", ",7.5", ",0", columns=",think_s"))
    assert sorted(said.think_s.tolist()) == [0.0, 0.0, 0.0, 0.0, 4.0, 7.5]
    left = turns(written(tmp_path, ",6", ",1", ",12", ",2.5", ",1", ",1", columns=",e2e_s"))
    a, _, b = (chain(left, row) for row in range(3))
    assert left.think_s[a].tolist() == [0.0, 10.0 - 6.0, 20.0 - 2.5]
    assert left.think_s[b].tolist() == [0.0, 0.0]


def test_the_fleet_sends_a_turn_its_pause_after_the_answer_before(tmp_path: Path) -> None:
    """Whenever the answer comes; recorded arrivals of further turns are of no effect."""
    requests = turns(written(tmp_path), think_s=3.0)
    served = serve(fleet((pool(),)), Source((replace(requests, class_id=np.zeros(6, np.int32)),)))
    records = {int(record["isl"]): record for record in served.records}
    for earlier, later in ((100, 150), (150, 170), (80, 90)):
        assert records[later]["arrival_s"] == pytest.approx(records[earlier]["finish_s"] + 3.0)


def test_what_is_recorded_behind_the_horizon_is_not_sent(tmp_path: Path) -> None:
    requests = turns(written(tmp_path), horizon_s=11.0, think_s=3.0)
    assert sorted(requests.isl.tolist()) == [50, 80, 100, 150]
    assert requests.n_open == 3


def test_loops_and_more_users_have_conversations_of_their_own(tmp_path: Path) -> None:
    looped = turns(written(tmp_path), horizon_s=72.0, think_s=3.0, loop=True)
    assert (len(looped), looped.n_open) == (12, 6)
    assert len(set(looped.session_id[: looped.n_open].tolist())) == 5
    spec = WorkloadSpec((ClassWorkload("chat", Trace(written(tmp_path), Reading(turns=True, think_s=3.0))),))
    (twice,) = build_source(at_level(spec, (2.0,)), 100.0, 1).chunks()
    assert (len(twice), twice.n_open) == (12, 6)
    for row in range(twice.n_open):
        assert len({int(twice.session_id[turn]) for turn in chain(twice, row)}) == 1
    texts = [{text for turn in chain(twice, row) for text, _ in segments(twice, row)} for row in range(twice.n_open)]
    assert sum(map(len, texts)) == len(set.union(*texts))


def test_chats_of_bailian_are_conversations_by_their_parents(tmp_path: Path) -> None:
    parents = {10: -1, 11: -1, 12: 10, 13: 12, 14: 11}
    rows = [
        {"chat_id": chat, "parent_chat_id": parent, "timestamp": 5.5 * k, "input_length": 32, "output_length": 4}
        | {"hash_ids": [1, chat]}
        for k, (chat, parent) in enumerate(parents.items())
    ]
    file = tmp_path / "t.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert load_trace(file).requests.session_id.tolist() == [0, 1, 0, 0, 1]
    requests = turns(file, think_s=2.0)
    assert [len(chain(requests, row)) for row in range(requests.n_open)] == [3, 2]
    assert [tokens for _, tokens in segments(requests, 0)] == [16, 16]


def test_pauses_that_nobody_says_and_sessions_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="says nothing of the pauses"):
        turns(written(tmp_path))
    with pytest.raises(InputError, match=r"talks.csv:5: think_s must be a finite number, at least 0 \(got soon\)"):
        turns(written(tmp_path, ",", ",", ",", ",soon", ",1", ",1", columns=",think_s"))
    file = tmp_path / "none.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,10,5\n")
    with pytest.raises(InputError, match="has no column session_id"):
        turns(file, think_s=1.0)


def test_a_scenario_has_turns_and_no_lengths_of_its_own_beside_them(tmp_path: Path) -> None:
    written(tmp_path)
    arrivals = {"kind": "trace", "file": "talks.csv", "wait_for_answers": True, "think_s": 3}
    scenario = {
        "schema_version": 1,
        "name": "talks",
        "model": "llama-3.1-8b-instruct",
        "workload": {"classes": [{"name": "chat", "arrivals": arrivals}]},
        "topologies": {"one": {"pools": [{"name": "p", "site": "lambda", "gpu": "h100-sxm"}]}},
        "run": {"horizon_s": 60},
    }
    load_scenario(scenario, folder=tmp_path)
    with pytest.raises(InputError, match="turns that wait for answers have the lengths"):
        load_scenario(scenario, sets=["workload.classes[chat].lengths={isl: 5, osl: 5}"], folder=tmp_path)
