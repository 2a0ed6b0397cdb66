"""What prompts of a log share where it has no hashes: what was said before, and what a cache held of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trace_cases import segments, written

from simulator.errors import InputError
from simulator.scenario.load import load_scenario
from simulator.workload.levels import at_level
from simulator.workload.reading import Reading
from simulator.workload.requests import Requests
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Trace, WorkloadSpec
from simulator.workload.trace_file import load_trace

ROWS = """arrival_s,input_tokens,output_tokens,session_id,cached_tokens
0,100,10,a,40
1,50,5,,30
2,80,20,b,
3,60,4,,60
10,150,10,a,110
12,90,5,b,16
30,170,10,a,48
"""
"""a grows; b begins anew (90 < 80 + 20); two requests stand alone."""


def served(file: Path, horizon_s: float = 100.0, **reading: bool) -> Requests:
    spec = WorkloadSpec((ClassWorkload("chat", Trace(file, Reading(**reading))),))
    (chunk,) = build_source(spec, horizon_s, 1).chunks()
    return chunk


def test_prompts_of_a_conversation_begin_with_what_was_said_and_all_with_what_was_cached(tmp_path: Path) -> None:
    found = served(written(tmp_path, "t.csv", ROWS), prompts_grow=True)
    assert found.arrival_s.tolist() == [0, 1, 2, 3, 10, 12, 30], "each comes when it was recorded"
    assert found.n_open == len(found)
    parts = [segments(found, row) for row in range(7)]
    common = parts[0][0][0]
    a = parts[0][1][0]
    assert parts[0] == [(common, 40), (a, 60)]
    assert parts[4] == [(common, 40), (a, 110)], "the conversation's beginning, whatever its later cache held"
    assert parts[6] == [(common, 40), (a, 130)]
    assert parts[1] == [(common, 30)]
    assert parts[3] == [(common, 60)], "a prompt that was cached whole"
    ((first, tokens),) = parts[2]
    assert tokens == 80
    assert parts[5][0] == (common, 16)
    assert parts[5][1][1] == 90 - 16
    assert len({common, a, first, parts[5][1][0]}) == 4
    assert found.output_continues.tolist() == [True, False, True, False, True, True, True]


def test_without_growing_prompts_share_what_was_cached_alone(tmp_path: Path) -> None:
    found = served(written(tmp_path, "t.csv", ROWS))
    parts = [segments(found, row) for row in range(7)]
    assert [tokens for part in parts for _, tokens in part] == [40, 30, 60, 110, 16, 48]
    assert len({text for part in parts for text, _ in part}) == 1
    assert not found.output_continues.any()


def test_the_share_that_was_cached_is_that_of_all_prompt_tokens(tmp_path: Path) -> None:
    read = load_trace(written(tmp_path, "t.csv", ROWS)).was_read
    assert read.cached_share == pytest.approx((40 + 30 + 60 + 110 + 16 + 48) / (100 + 50 + 80 + 60 + 150 + 90 + 170))
    without = written(tmp_path, "u.csv", "arrival_s,input_tokens,output_tokens\n0,5,5\n1,5,5\n")
    assert load_trace(without).was_read.cached_share is None


def test_labels_share_nothing_and_more_users_have_texts_of_their_own(tmp_path: Path) -> None:
    lines = ROWS.splitlines()
    rows = [f"{line},{'class' if k == 0 else 'xy'[k % 2]}" for k, line in enumerate(lines)]
    file = written(tmp_path, "t.csv", "\n".join(rows) + "\n")
    loaded = load_trace(file, Reading(prompts_grow=True))
    assert loaded.labels is not None
    texts = {
        label: {text for row in np.flatnonzero(loaded.labels == label) for text, _ in segments(loaded.requests, row)}
        for label in "xy"
    }
    assert texts["x"]
    assert not texts["x"] & texts["y"]
    plain = written(tmp_path, "u.csv", ROWS)
    spec = WorkloadSpec((ClassWorkload("chat", Trace(plain, Reading(prompts_grow=True))),))
    (twice,) = build_source(at_level(spec, (2.0,)), 1000.0, 1).chunks()
    assert len(twice) == 14
    one, two = (twice.session_id == session for session in np.unique(twice.session_id[twice.isl == 170]))
    texts_of = [{segments(twice, row)[-1][0] for row in np.flatnonzero(mine)} for mine in (one, two)]
    assert [len(each) for each in texts_of] == [1, 1]
    assert texts_of[0] != texts_of[1]


def test_hashes_say_more_than_either(tmp_path: Path) -> None:
    row = {"input_tokens": 32, "output_tokens": 4, "session_id": 1, "cached_tokens": 16}
    rows = [json.dumps(row | {"arrival_s": k, "hash_ids": [k, 9]}) for k in range(3)]
    file = written(tmp_path, "t.jsonl", "\n".join(rows) + "\n")
    found = served(file, prompts_grow=True)
    assert [tokens for row in range(3) for _, tokens in segments(found, row)] == [16] * 6
    assert not found.output_continues.any()


def test_more_cached_than_there_is_and_growth_without_conversations_are_refused(tmp_path: Path) -> None:
    more = written(tmp_path, "t.csv", ROWS.replace("a,110", "a,151"))
    with pytest.raises(InputError, match=r"t.csv:6: cached_tokens must be at most input_tokens.*\(got 151\)"):
        load_trace(more)
    alone = written(tmp_path, "u.csv", "arrival_s,input_tokens,output_tokens\n0,5,5\n1,5,5\n")
    with pytest.raises(InputError, match="has no column session_id: no prompt goes on"):
        load_trace(alone, Reading(prompts_grow=True))


def test_prompts_that_grow_have_no_lengths_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, "t.csv", ROWS)
    scenario = {
        "schema_version": 1,
        "name": "talks",
        "model": "llama-3.1-8b-instruct",
        "workload": {"classes": [{"name": "c", "arrivals": {"kind": "trace", "file": "t.csv", "prompts_grow": True}}]},
        "topologies": {"one": {"pools": [{"name": "p", "site": "lambda", "gpu": "h100-sxm"}]}},
        "run": {"horizon_s": 60},
    }
    load_scenario(scenario, folder=tmp_path)
    with pytest.raises(InputError, match="prompts that grow have the lengths and the content"):
        load_scenario(scenario, sets=["workload.classes[c].prefixes={groups: 1, tokens: 5}"], folder=tmp_path)
