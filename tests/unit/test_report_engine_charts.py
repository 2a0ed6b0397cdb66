"""Charts of one replica's steps and of one request's life draw what the steps were."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simulator.report.engine_charts import request_life, step_timeline


def steps(**columns: list[Any]) -> pd.DataFrame:
    """A prefill, a mixed step and a decode step that ends last, at 1.5 s."""
    told = {
        "start_s": [1.0, 1.1, 1.3],
        "duration_s": [0.1, 0.2, 0.2],
        "prefill_tokens": [512, 100, 0],
        "decode_tokens": [0, 3, 4],
        "kv_usage": [0.25, 0.5, 0.75],
        "sequences": [1, 4, 4],
        "cached_tokens": [0, 0, 0],
        "preempted": [0, 0, 0],
    }
    return pd.DataFrame(told | columns)


def values(chart: dict[str, Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    return chart["datasets"][part["data"]["name"]]


def test_a_step_is_as_wide_as_it_takes_on_one_axis_of_time() -> None:
    chart = step_timeline(steps()).to_dict()
    for row in chart["vconcat"]:
        assert row["encoding"]["x"]["scale"]["domain"] == pytest.approx([1.0, 1.5])
    ends = {each["start_s"]: each["end_s"] for each in values(chart, chart["vconcat"][0])}
    assert ends == pytest.approx({1.0: 1.1, 1.1: 1.3, 1.3: 1.5})


def test_prompt_tokens_stand_on_those_of_answers_and_none_is_drawn_of_a_kind_that_a_step_lacks() -> None:
    chart = step_timeline(steps()).to_dict()
    drawn = {
        (each["start_s"], each["kind"]): (each["below"], each["above"]) for each in values(chart, chart["vconcat"][0])
    }
    assert drawn == {
        (1.0, "prefill"): (0, 512),
        (1.1, "decode"): (0, 3),
        (1.1, "prefill"): (3, 103),
        (1.3, "decode"): (0, 4),
    }


@pytest.mark.parametrize(
    ("column", "title"),
    [("cached_tokens", "Prompt tokens found in cache"), ("preempted", "Requests preempted")],
)
def test_what_never_happened_has_no_row(column: str, title: str) -> None:
    def titles(frame: pd.DataFrame) -> list[str]:
        return [row["title"]["text"] for row in step_timeline(frame).to_dict()["vconcat"]]

    assert title not in titles(steps())
    assert title in titles(steps(**{column: [0, 2, 0]}))
    named = ["Tokens of each step", "Requests in the step", "KV blocks in use [%]", "Time of the step [s]"]
    assert titles(steps()) == named


def test_kv_blocks_are_percent() -> None:
    chart = step_timeline(steps()).to_dict()
    (row,) = (row for row in chart["vconcat"] if row["title"]["text"] == "KV blocks in use [%]")
    name = row["encoding"]["y"]["field"]
    assert [each[name] for each in values(chart, row)] == pytest.approx([25, 50, 75])
    assert row["encoding"]["y"]["title"] is None, "its title has the unit"


def test_a_request_takes_part_from_the_start_of_a_step_to_its_end() -> None:
    parts = pd.DataFrame(
        {
            "request": ["chat 1"] * 2,
            "kind": ["prefill", "decode"],
            "tokens": [512, 1],
            "before": [0, 512],
            "start_s": [1.0, 1.1],
            "duration_s": [0.1, 0.2],
        }
    )
    chart = request_life(parts).to_dict()
    assert [(each["start_s"], each["end_s"]) for each in values(chart, chart)] == [
        (1.0, pytest.approx(1.1)),
        (1.1, pytest.approx(1.3)),
    ]
    assert (chart["encoding"]["x"]["field"], chart["encoding"]["x2"]["field"]) == ("start_s", "end_s")
