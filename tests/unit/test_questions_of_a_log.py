"""A log of one's own requests, which answers how much is asked, and when."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.cli.new import Given, new
from simulator.errors import InputError
from simulator.questions.answers import TOLD_BY_TRACE, Answers, is_asked, questions
from simulator.questions.log import log_words, read_log
from simulator.questions.write import scenario_text
from simulator.resolve.demand import request_source
from simulator.scenario.load import load_scenario

ROWS = [(600 + 60 * k, 100 + k, 7 + k % 5) for k in range(120)]


def write(file: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    file.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", "utf-8")


def test_a_log_is_replayed_whole(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens", ROWS)
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"trace": "log.csv", "ttft_s": 1.0}, tmp_path), "utf-8")
    loaded = load_scenario(file)
    served = [chunk for chunk in request_source(loaded).chunks() if len(chunk)]
    assert np.concatenate([chunk.arrival_s for chunk in served]).tolist() == [row[0] for row in ROWS]
    assert np.concatenate([chunk.isl for chunk in served]).tolist() == [row[1] for row in ROWS]
    run = loaded.scenario.run
    assert (run.horizon_s, run.warmup_s, run.start) == (ROWS[-1][0] + 60, 390, "mon 0:00")
    assert loaded.scenario.study.periods == ()
    (cls,) = loaded.scenario.workload.classes
    assert cls.slo.ttft_s == {"p95": 1.0}
    assert loaded.scenario.topologies["cloud"].pools[0].autoscaler == "auto"
    log = read_log(Answers(trace="log.csv"), tmp_path)
    assert log is not None
    assert (log.requests, log.failures, log.longest_tokens) == (120, 0, 219 + 11)
    assert log.isl == round(sum(row[1] for row in ROWS) / 120)
    assert sum(row[1] > log.late_isl for row in ROWS) == 6, "5 % of 120"
    assert log.rate_rps == pytest.approx(120 / (ROWS[-1][0] + 60))


def test_what_is_asked_is_described_in_a_busy_hour_or_in_the_mean_of_a_log(tmp_path: Path) -> None:
    """120 requests in 7,800 s, of minutes 10 to 129 and the minute after the last."""
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens", ROWS)
    (tmp_path / "logged.yaml").write_text(scenario_text({"trace": "log.csv"}, tmp_path), "utf-8")
    (tmp_path / "asked.yaml").write_text(scenario_text({"rate_rps": 2.5}, tmp_path), "utf-8")
    logged, asked = (load_scenario(tmp_path / f"{name}.yaml").scenario.description for name in ("logged", "asked"))
    assert "0.0154 requests per second in the mean of a log" in logged
    assert "2.5 requests per second in a busy hour" in asked


@pytest.mark.parametrize(
    ("times", "start"),
    [
        ([1764609305.5, 1764609400.0], "mon 17:15"),
        (["2026-11-26T23:59:59Z", "2026-11-27T00:10:00Z"], "thu 23:59"),
        (["2026-11-27T00:59:59+01:00", "2026-11-27T02:10:00+01:00"], "fri 0:59"),
        (["[27/Nov/2026:00:59:59 -0530]", "[27/Nov/2026:01:10:00 -0530]"], "fri 0:59"),
        (["2026-11-27 00:59:59", "2026-11-27 02:10:00"], "fri 0:59"),
        ([0.0, 9.0], "mon 0:00"),
    ],
)
def test_a_run_begins_when_the_log_does(tmp_path: Path, times: list[object], start: str) -> None:
    """1764609305 is 2025-12-01, a Monday, 17:15:05 UTC."""
    write(tmp_path / "log.csv", "timestamp,prompt_tokens,completion_tokens", [(time, 5, 5) for time in times])
    text = scenario_text({"trace": "log.csv"}, tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    scenario = load_scenario(file).scenario
    assert scenario.run.start == start
    columns = scenario.workload.classes[0].arrivals.columns
    assert columns == {
        "arrival_s": "timestamp",
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
    }
    assert ("as it does not say" in text) == (times[0] == 0.0)
    assert ("by UTC+01:00" in text) == ("+01:00" in str(times[0]))


def test_columns_of_other_names_are_said_and_a_day_goes_with_its_time(tmp_path: Path) -> None:
    rows = [("16.11.2026", f"06:{k:02}:30", 50 + k, 8) for k in range(10)]
    write(tmp_path / "log.csv", "day,clock,asked,answered", rows)
    with pytest.raises(InputError, match="columns match no trace format"):
        scenario_text({"trace": "log.csv"}, tmp_path)
    said = "arrival_s=day+clock, input_tokens=asked, output_tokens=answered"
    file = tmp_path / "mine.yaml"
    file.write_text(scenario_text({"trace": "log.csv", "column": said}, tmp_path), "utf-8")
    loaded = load_scenario(file)
    (chunk,) = request_source(loaded).chunks()
    assert chunk.arrival_s.tolist() == [60.0 * k for k in range(10)]
    assert chunk.isl.tolist() == [50 + k for k in range(10)]
    assert loaded.scenario.run.start == "mon 6:00", "2026-11-16 is a Monday"
    write(tmp_path / "guessed.csv", "Date,Time,in,out", rows)
    text = scenario_text({"trace": "guessed.csv"}, tmp_path)
    assert 'columns: {arrival_s: "Date+Time", input_tokens: "in", output_tokens: "out"}' in text


def test_a_log_is_named_from_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens", ROWS)
    monkeypatch.chdir(tmp_path)
    assert new(Path("study/mine.yaml"), given=Given(trace="log.csv"), ask=False) == 0
    assert load_scenario(tmp_path / "study/mine.yaml").scenario.workload.classes[0].arrivals.file == "../log.csv"
    write(tmp_path / "study/log.csv", "arrival_s,input_tokens,output_tokens", ROWS[:60])
    assert new(Path("study/other.yaml"), given=Given(trace="log.csv"), ask=False) == 0
    said = load_scenario(tmp_path / "study/other.yaml").scenario.workload.classes[0].arrivals.file
    assert said == "log.csv", "beside the scenario goes first"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("arrival_s", "must be ours=theirs"),
        ("arrived=at", "unknown column 'arrived'"),
        ("arrival_s=day+hour, input_tokens=asked, output_tokens=answered", "unknown column 'day\\+hour'"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(tmp_path: Path, said: str, told: str) -> None:
    write(tmp_path / "log.csv", "day,clock,asked,answered", [("16.11.2026", "06:00", 5, 5)])
    with pytest.raises(InputError, match=told):
        scenario_text({"trace": "log.csv", "column": said}, tmp_path)


def test_failures_are_left_out_and_labels_are_classes(tmp_path: Path) -> None:
    rows = [(k, 50, 0 if k == 3 else 8, "batch" if k % 2 else "chat") for k in range(10)]
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens,class", rows)
    file = tmp_path / "mine.yaml"
    text = scenario_text({"trace": "log.csv"}, tmp_path)
    file.write_text(text, "utf-8")
    loaded = load_scenario(file)
    assert [cls.name for cls in loaded.scenario.workload.classes] == ["chat", "batch"]
    assert sum(len(chunk) for chunk in request_source(loaded).chunks()) == 9
    assert "1 without an answer are left out" in text


def test_a_log_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of half a gigabyte each further time is half a minute; its first piece alone may be looked at again."""
    pieces = import_module("simulator.workload.trace_file").read_pieces
    read: list[int] = []

    def counted(file: Path) -> Iterator[Any]:
        read.append(0)
        for piece in pieces(file):
            yield piece
            read[-1] += 1

    monkeypatch.setattr("simulator.workload.trace_file.read_pieces", counted)
    write(
        tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens,class", [(k, 9, 9, "ab"[k % 2]) for k in range(9)]
    )
    assert 'name: "b"' in scenario_text({"trace": "log.csv"}, tmp_path)
    assert sum(read) == 1


def test_what_a_log_tells_is_not_asked() -> None:
    names = [question.name for question in questions()]
    assert {name for name in TOLD_BY_TRACE if is_asked(name, {"trace": "log.csv"})} == set()
    assert {name for name in names if is_asked(name, {"rate_rps": 1.0, "other_share": 0.1, "turns": 2})} >= {
        *TOLD_BY_TRACE
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trace": "other.csv"}, "trace: no such file in the scenario's folder (got other.csv)"),
        ({"trace": "log.csv", "users": 5}, "given are users and trace"),
        ({"trace": "log.csv", "isl": 700}, "isl: the log of the requests tells it (trace): leave it out (got 700)"),
        ({"trace": "semicolon.csv"}, "columns match no trace format"),
        ({"trace": "once.csv"}, "at two times at least"),
        ({"trace": "long.csv"}, "prompt and answer have 200007 tokens"),
    ],
)
def test_logs_that_make_no_scenario_are_refused(tmp_path: Path, given: dict[str, object], said: str) -> None:
    header = "arrival_s,input_tokens,output_tokens"
    write(tmp_path / "log.csv", header, [*ROWS])
    write(tmp_path / "semicolon.csv", "when?in?out", [("1?2?3",)])
    write(tmp_path / "once.csv", header, [(5, 5, 5), (5, 6, 6)])
    write(tmp_path / "long.csv", header, [(5, 200_000, 7), (6, 200_000, 7)])
    with pytest.raises(InputError) as refused:
        scenario_text(given, tmp_path)
    assert said in str(refused.value)


def test_the_command_takes_a_log(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens", [*ROWS])
    assert new(tmp_path / "mine.yaml", given=Given(trace="log.csv"), ask=False) == 0
    text = (tmp_path / "mine.yaml").read_text("utf-8")
    assert "default isl" not in text
    assert "default busy" not in text
    assert math.isclose(load_scenario(tmp_path / "mine.yaml").scenario.run.horizon_s, ROWS[-1][0] + 60)
    assert Answers().trace is None


def test_conversations_and_cached_tokens_of_a_log_are_used(tmp_path: Path) -> None:
    rows = [(60 * k, 100 + 60 * (k // 2), 10, "ab"[k % 2], 40) for k in range(10)]
    write(tmp_path / "log.csv", "time,prompt_tokens,completion_tokens,conversation_id,cached_tokens", rows)
    text = scenario_text({"trace": "log.csv"}, tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    loaded = load_scenario(file)
    arrivals = loaded.scenario.workload.classes[0].arrivals
    assert arrivals.columns["session_id"] == "conversation_id"
    assert arrivals.columns.get("cached_tokens", "cached_tokens") == "cached_tokens"
    assert arrivals.prompts_grow
    assert all(pool.routing == "session_sticky" for top in loaded.scenario.topologies.values() for pool in top.pools)
    assert "prompts repeat what was said before in their conversation" in text
    assert f"{40 * 10 / sum(row[1] for row in rows):.0%} of their tokens came from a cache" in text
    (chunk,) = request_source(loaded).chunks()
    assert chunk.segment_tokens.tolist() == [tokens for row in rows for tokens in (40, row[1] - 40)]


def test_a_log_that_is_silent_on_what_prompts_share_says_so(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "arrival_s,input_tokens,output_tokens", ROWS)
    text = scenario_text({"trace": "log.csv"}, tmp_path)
    assert "nothing is known of what prompts share" in text
    assert "prompts_grow" not in text


def test_columns_that_are_said_leave_the_others_to_be_guessed(tmp_path: Path) -> None:
    rows = [(60 * k, 100, 10, 7, 40) for k in range(10)]
    write(tmp_path / "log.csv", "at,asked,answered,thread_id,usage_cached", rows)
    said = "arrival_s=at, input_tokens=asked, output_tokens=answered, cached_tokens=usage_cached"
    text = scenario_text({"trace": "log.csv", "column": said}, tmp_path)
    assert 'session_id: "thread_id"' in text
    assert 'cached_tokens: "usage_cached"' in text


def test_tokens_beside_those_of_the_prompt_are_counted(tmp_path: Path) -> None:
    """Anthropic's API counts tokens that it read from its cache, or wrote into it, apart from `input_tokens`."""
    usage = [(3, 4000, None), (5, None, 700), (900, 0, 0)]
    lines = [
        {"timestamp": 60 * k, "usage": {"input_tokens": a, "output_tokens": 10, "cache_read_input_tokens": b}}
        for k, (a, b, _) in enumerate(usage)
    ]
    for line, (_, _, written) in zip(lines, usage, strict=True):
        line["usage"]["cache_creation_input_tokens"] = written  # type: ignore[index]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    text = scenario_text({"trace": "log.jsonl"}, tmp_path)
    sums = "usage.input_tokens+usage.cache_read_input_tokens+usage.cache_creation_input_tokens"
    assert f'input_tokens: "{sums}"' in text
    assert f"a prompt has {sums.replace('+', ' and ')}" in text
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    (chunk,) = request_source(load_scenario(file)).chunks()
    assert chunk.isl.tolist() == [4003, 705, 900]
    assert f"{4000 / (4003 + 705 + 900):.0%} of their tokens came from a cache" in text


def test_prompt_tokens_are_all_of_the_prompt_and_a_said_column_is_what_it_says(tmp_path: Path) -> None:
    """OpenAI's API, and gateways that answer alike, count what was cached among `prompt_tokens`."""
    rows = [(60 * k, 4100, 10, 4000) for k in range(10)]
    write(tmp_path / "open.csv", "timestamp,prompt_tokens,completion_tokens,cache_read_input_tokens", rows)
    found = read_log(Answers(trace="open.csv"), tmp_path)
    assert found is not None
    assert (found.isl, found.uncounted) == (4100, ())
    assert found.cached_share == pytest.approx(4000 / 4100)
    write(tmp_path / "log.csv", "timestamp,input_tokens,output_tokens,cache_read_input_tokens", rows)
    said = "arrival_s=timestamp, input_tokens=input_tokens, output_tokens=output_tokens"
    found = read_log(Answers(trace="log.csv", column=said), tmp_path)
    assert found is not None
    assert (found.isl, found.cached_share, found.uncounted) == (4100, None, ("cache_read_input_tokens",))
    assert "input_tokens=…+cache_read_input_tokens counts them" in log_words(found)


def test_a_said_sum_counts_its_parts_in_any_order(tmp_path: Path) -> None:
    """What was read from a cache is among them, so it is known what a cache found."""
    usage = {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 4000}
    lines = [json.dumps({"timestamp": 60 * k, "usage": usage}) for k in range(10)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    parts = ["usage.input_tokens", "usage.cache_read_input_tokens"]
    for order in (parts, parts[::-1]):
        said = f"arrival_s=timestamp, input_tokens={'+'.join(order)}, output_tokens=usage.output_tokens"
        found = read_log(Answers(trace="log.jsonl", column=said), tmp_path)
        assert found is not None
        assert (found.isl, found.cached_share, found.uncounted) == (4100, pytest.approx(4000 / 4100), ()), order


def test_a_sum_of_columns_needs_its_first_number_in_each_row(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "arrival_s,fresh,output_tokens,again", [(1, 5, 5, ""), (2, "", 5, 7), (3, 5, 5, "x")])
    said = "arrival_s=arrival_s, input_tokens=fresh+again, output_tokens=output_tokens"
    with pytest.raises(InputError) as refused:
        read_log(Answers(trace="log.csv", column=said), tmp_path)
    assert [problem.line for problem in refused.value.problems] == [3, 4]


def test_a_log_that_takes_long_to_read_is_told_to_be_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{k},100,20\n" for k in range(100))
    (tmp_path / "log.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}", "utf-8")
    found = []
    for k, least_s in enumerate((0.0, 60.0)):
        monkeypatch.setattr(import_module("simulator.cli.new"), "_WORTH_A_WORD_S", least_s)
        assert new(tmp_path / f"{k}.yaml", given=Given(trace="log.csv"), ask=False) == 0
        found.append("reads the log once more" in capsys.readouterr().out)
    assert found == [True, False]
