"""Logs as gateways, observability tools and clouds write them, and what looks like one and is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from trace_cases import written

from simulator.errors import InputError
from simulator.workload.reading import Reading
from simulator.workload.trace_file import LoadedTrace, load_trace

ROWS = [(0.5, 4700, 120), (2.0, 1040, 50), (4.25, 9500, 17)]
START = datetime(2026, 11, 16, 8, tzinfo=UTC)
NS = int(START.timestamp()) * 10**9
COLUMNS = {"arrival_s": "timestamp", "input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}


def iso(at: float) -> str:
    return (START + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def log(folder: Path, records: list[dict[str, Any]]) -> Path:
    return written(folder, "log.jsonl", "".join(json.dumps(record) + "\n" for record in records))


def guessed(file: Path) -> LoadedTrace:
    return load_trace(file, Reading(guesses=True))


def bedrock(at: float, isl: int, osl: int) -> dict[str, Any]:
    beside = {"cacheReadInputTokenCount": 900, "cacheWriteInputTokenCount": 100}
    body = {"outputBodyJson": {"usage": {"cacheReadInputTokenCount": 900}}}
    return {
        "timestamp": iso(at),
        "input": {"inputTokenCount": isl - 1000, **beside},
        "output": {**body, "outputTokenCount": osl},
    }


def converse(at: float, isl: int, osl: int) -> dict[str, Any]:
    beside = {"cacheReadInputTokens": 900, "cacheWriteInputTokens": 100}
    return {"timestamp": iso(at), "usage": {"inputTokens": isl - 1000, "outputTokens": osl, **beside}}


def gemini(at: float, isl: int, osl: int) -> dict[str, Any]:
    usage = {"promptTokenCount": isl, "candidatesTokenCount": osl, "cachedContentTokenCount": 900}
    if at > 1:
        usage |= {"candidatesTokenCount": osl - 10, "thoughtsTokenCount": 10}
    return {"logging_time": iso(at), "full_response": {"usageMetadata": usage}}


def telemetry(at: float, isl: int, osl: int) -> dict[str, Any]:
    """The parts are counted in the whole, whichever comes first."""
    parts = {"gen_ai.usage.cache_read.input_tokens": 900, "gen_ai.usage.cache_creation.input_tokens": 50}
    whole = {"gen_ai.usage.input_tokens": isl, "gen_ai.usage.output_tokens": osl}
    return {"startTimeUnixNano": str(NS + round(at * 1e9)), "attributes": {**parts, **whole}}


def azure(at: float, isl: int, osl: int) -> dict[str, Any]:
    return {"time": iso(at), "properties": json.dumps({"promptTokens": isl, "completionTokens": osl})}


def aiperf(at: float, isl: int, osl: int) -> dict[str, Any]:
    lengths = {"input_sequence_length": {"value": isl}, "output_sequence_length": {"value": osl}}
    return {"metadata": {"request_start_ns": NS + round(at * 1e9)}, "metrics": lengths}


def openrouter(at: float, isl: int, osl: int) -> dict[str, Any]:
    own = {"native_tokens_prompt": isl, "native_tokens_completion": osl, "native_tokens_cached": 900}
    return {"created_at": iso(at), "tokens_prompt": isl - 7, "tokens_completion": osl - 3, **own}


def phoenix(at: float, isl: int, osl: int) -> dict[str, Any]:
    counts = {"attributes.llm.token_count.prompt": isl, "attributes.llm.token_count.completion": osl}
    return {"start_time": iso(at), **counts}


def datadog(at: float, isl: int, osl: int) -> dict[str, Any]:
    return {"start_ns": NS + round(at * 1e9), "metrics": {"input_tokens": isl, "output_tokens": osl}}


@pytest.mark.parametrize(
    ("tool", "cached"),
    [
        (bedrock, 900),
        (converse, 900),
        (gemini, 900),
        (telemetry, 900),
        (azure, None),
        (aiperf, None),
        (openrouter, 900),
        (phoenix, None),
        (datadog, None),
    ],
)
def test_all_tokens_of_a_log_are_counted_once(tmp_path: Path, tool: Any, cached: int | None) -> None:
    found = guessed(log(tmp_path, [tool(*row) for row in ROWS]))
    assert found.requests.isl.tolist() == [isl for _, isl, _ in ROWS]
    assert found.requests.osl.tolist() == [osl for *_, osl in ROWS]
    assert found.requests.arrival_s.tolist() == pytest.approx([0.0, 1.5, 3.75], abs=1e-6)
    assert found.was_read.cached_share == (None if cached is None else pytest.approx(3 * cached / 15240))


def test_tokens_of_a_cache_may_stand_in_another_object_than_the_prompt(tmp_path: Path) -> None:
    records = [
        {"ts": iso(at), "input_tokens": isl - 900, "output_tokens": osl, "cache": {"cache_read_input_tokens": 900}}
        for at, isl, osl in ROWS
    ]
    assert guessed(log(tmp_path, records)).requests.isl.tolist() == [4700, 1040, 9500]


def test_parts_of_objects_that_a_table_holds_as_text(tmp_path: Path) -> None:
    text = "".join(
        f'{iso(at)},"{{""usage"": {{""prompt_tokens"": {isl}, ""completion_tokens"": {osl}}}}}"\n'
        for at, isl, osl in ROWS
    )
    found = guessed(written(tmp_path, "log.csv", f"created_at,response\n{text}"))
    assert found.requests.isl.tolist() == [4700, 1040, 9500]
    assert found.requests.osl.tolist() == [120, 50, 17]


@pytest.mark.parametrize("name", ["num_model_requests", "n_requests", "requests", "Request count"])
def test_rows_that_count_several_requests_are_none_of_a_log(tmp_path: Path, name: str) -> None:
    rows = [{"start_time": 1763280000 + 60 * k, "input_tokens": 9000, "output_tokens": 700} for k in range(4)]
    file = log(tmp_path, [{**row, name: 1 + k} for k, row in enumerate(rows)])
    with pytest.raises(InputError, match=rf"{file}:2: a row counts several requests \({name}\).*rate_rps.* \(got 2\)"):
        guessed(file)
    for single in ([1, 1, 1, 1], [1, 1, 1, 2]):
        alone = [{**row, name: number} for row, number in zip(rows, single, strict=True)]
        assert len(guessed(log(tmp_path, alone)).requests) == 4


@pytest.mark.parametrize(("own", "within"), [("id", "parent_run_id"), ("span_id", "parent_id"), ("id", "parentSpanId")])
def test_tokens_of_a_run_and_of_what_is_part_of_it_count_once(tmp_path: Path, own: str, within: str) -> None:
    records = [
        {own: f"{kind}{k}", within: part and f"chain{k}", "run_type": kind, **converse(*row)}
        for k, row in enumerate(ROWS)
        for kind, part in (("chain", None), ("llm", "of"))
    ]
    file = log(tmp_path, records)
    with pytest.raises(InputError, match=rf"{file}:1: other rows are part of this one \({within}\).* \(got chain0\)"):
        guessed(file)
    named = (("class", "run_type"), *guessed(log(tmp_path, records[1::2])).was_read.columns)
    alone = load_trace(log(tmp_path, records), Reading(columns=named, leave_out=("chain",)))
    assert alone.requests.isl.tolist() == [4700, 1040, 9500]


def test_messages_that_follow_one_another_are_no_runs_in_one_another(tmp_path: Path) -> None:
    records = [{"id": k, "parent_id": k - 1 if k else None, **converse(*row)} for k, row in enumerate(ROWS)]
    assert len(guessed(log(tmp_path, records)).requests) == 3


def test_a_dash_is_no_answer(tmp_path: Path) -> None:
    rows = [{"ts": iso(at), "input_tokens": str(isl), "output_tokens": str(osl)} for at, isl, osl in ROWS]
    file = log(tmp_path, [*rows, {"ts": iso(9), "input_tokens": "-", "output_tokens": "-"}])
    with pytest.raises(InputError, match=r"log\.jsonl:4: output_tokens .*--leave-out-failures.* \(got -\)"):
        guessed(file)
    found = load_trace(file, Reading(guesses=True, leaves_out_failures=True))
    assert (len(found.requests), found.was_read.failures) == (3, 1)


def csv(times: list[str]) -> str:
    return "timestamp,prompt_tokens,completion_tokens\n" + "".join(f"{time},10,5\n" for time in times)


@pytest.mark.parametrize("unit", [1e0, 1e3, 1e6, 1e9])
def test_times_that_a_spreadsheet_rounded_are_refused(tmp_path: Path, unit: float) -> None:
    seconds = [START.timestamp() + k for k in range(30)]
    file = written(tmp_path, "log.csv", csv([f"{second * unit:.5E}" for second in seconds]))
    with pytest.raises(InputError, match=rf"{file}:2: arrival_s is rounded as spreadsheets") as caught:
        load_trace(file, Reading(columns=tuple(COLUMNS.items())))
    assert len(caught.value.problems) == 1
    whole = written(tmp_path, "whole.csv", csv([repr(second * unit) for second in seconds]))
    assert load_trace(whole, Reading(columns=tuple(COLUMNS.items()))).requests.arrival_s[-1] == pytest.approx(29)


@pytest.mark.parametrize(("decimals", "step_s"), [(5, 61.0), (9, 1.0), (9, 0.137), (12, 0.137)])
def test_days_since_1900_are_no_seconds(tmp_path: Path, decimals: int, step_s: float) -> None:
    days = [46342 + (28_800 + k * step_s) / 86_400 for k in range(40)]
    file = written(tmp_path, "log.csv", csv([f"{day:.{decimals}f}" for day in days]))
    with pytest.raises(InputError, match=rf"{file}:2: arrival_s looks like days since 1900"):
        load_trace(file, Reading(columns=tuple(COLUMNS.items())))


@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 4, 6, 9])
def test_a_clock_of_half_a_day_is_in_seconds(tmp_path: Path, decimals: int) -> None:
    file = written(tmp_path, "log.csv", csv([f"{46342 + k * 1.370246913:.{decimals}f}" for k in range(40)]))
    assert len(load_trace(file, Reading(columns=tuple(COLUMNS.items()))).requests) == 40


def test_files_that_a_line_makes_readable_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log\.json: must be one of .*jq -c '\.\[\]'"):
        load_trace(written(tmp_path, "log.json", "[]"))
    with pytest.raises(InputError, match=r"log\.csv:1: its first line says the separator"):
        load_trace(written(tmp_path, "log.csv", "sep=;\ntimestamp;a;b\n1;2;3\n"))


@pytest.mark.parametrize("name", ["request_id", "requestId", "span_id", "rid"])
def test_rows_that_were_written_twice_are_refused(tmp_path: Path, name: str) -> None:
    records = [{name: f"r{k}", **converse(*row)} for k, row in enumerate(ROWS)]
    with pytest.raises(
        InputError, match=rf"log\.jsonl:4: the row of this {name} .*\(so do those of 2 rows\).* \(got r1\)"
    ):
        guessed(log(tmp_path, [*records, *records[1:]]))
    tried_again = [{name: "r0", **converse(*row)} for row in ROWS]
    assert len(guessed(log(tmp_path, tried_again)).requests) == 3
    unnamed = [{name: None, **converse(*ROWS[0])} for _ in range(2)]
    assert len(guessed(log(tmp_path, [*unnamed, *records])).requests) == 5


@pytest.mark.parametrize(
    ("zone", "begins", "line"), [("Europe/Berlin", "2026-10-24T20", 202), ("America/New_York", "2026-11-01T02", 162)]
)
def test_a_clock_without_a_zone_is_not_set_back_in_silence(tmp_path: Path, zone: str, begins: str, line: int) -> None:
    """Clocks go back at 01:00 UTC in Europe, at 06:00 UTC in New York, 200 and 160 rows behind the first."""
    start = datetime.fromisoformat(f"{begins}:00+00:00")
    times = [(start + timedelta(seconds=90 * k)).astimezone(ZoneInfo(zone)) for k in range(400)]
    reading = Reading(columns=tuple(COLUMNS.items()))
    file = written(tmp_path, "log.csv", csv([f"{time:%Y-%m-%d %H:%M:%S}" for time in times]))
    with pytest.raises(InputError, match=rf"{file}:{line}: arrival_s is set back by an hour"):
        load_trace(file, reading)
    zoned = written(tmp_path, "zoned.csv", csv([time.isoformat() for time in times]))
    assert load_trace(zoned, reading).requests.arrival_s[-1] == 399 * 90
    ordinary = written(tmp_path, "week.csv", csv([f"{time - timedelta(7):%Y-%m-%d %H:%M:%S}" for time in times[:160]]))
    assert len(load_trace(ordinary, reading).requests) == 160


def test_files_of_lists_and_several_files_say_what_to_do(tmp_path: Path) -> None:
    bench = {"backend": "vllm", "input_lens": [700, 80], "output_lens": [20, 30], "start_times": [0.0, 1.0]}
    with pytest.raises(
        InputError, match=r"log\.jsonl:1: a row is one request, and input_lens holds a list: write a line"
    ):
        guessed(log(tmp_path, [bench]))
    with pytest.raises(
        InputError, match=r"part-\*\.jsonl: cannot be read: .*; several files have to be written into one"
    ):
        guessed(tmp_path / "part-*.jsonl")
    with pytest.raises(InputError, match=r"none\.jsonl: cannot be read: [\w ]*$"):
        guessed(tmp_path / "none.jsonl")
