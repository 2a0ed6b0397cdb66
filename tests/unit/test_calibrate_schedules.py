"""Recordings of plain schedules: what vLLM is asked for, what is written, and what a replay that differs is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibrate.experiments import schedules
from calibrate.experiments.random_schedules import random_limits
from calibrate.experiments.schedules import limit_arguments, record_given, record_random
from calibrate.experiments.tokenizer import has_tokenizer, write_tokenizer
from simulator.errors import InputError

RECORDED = json.loads(
    (Path(__file__).parents[1] / "data/vllm-schedule-traces/h100_engine.json").read_text(encoding="utf-8")
)


class Stand:
    """A process that answers with a recording of vLLM, and remembers what it was asked."""

    def __init__(self, made: dict[str, Any], started: dict[str, Any] | None = None) -> None:
        self.made, self.started, self.asked = made, started, list[tuple[str, dict[str, Any]]]()
        self.open = 0

    def __enter__(self) -> Stand:
        self.open += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.open -= 1

    def call(self, name: str, **given: Any) -> Any:
        self.asked.append((name, given))
        return self.started if name == "start" else self.made


@pytest.fixture
def made() -> dict[str, Any]:
    return {name: value for name, value in RECORDED.items() if name not in ("format", "requests")}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What requests are drawn for; they are those of the recording."""
    calls: list[tuple[Any, ...]] = []

    def requests(limits: Any, seed: int, number: int) -> Any:
        calls.append((limits, seed, number))
        return RECORDED["requests"]

    monkeypatch.setattr(schedules, "random_requests", requests)
    return calls


def starts(process: Stand) -> Callable[[], Any]:
    return lambda: process


def test_schedulers_alone_are_recorded_in_one_process(
    tmp_path: Path, made: dict[str, Any], drawn: list[tuple[Any, ...]]
) -> None:
    process = Stand(made)
    found = list(record_random(starts(process), tmp_path / "new", 2, 9, with_engine=False))
    assert [one.path.name for one in found] == ["random-9-0.json", "random-9-1.json"]
    assert [one.identical for one in found] == [True, True]
    assert {check.engine for one in found for check in one.checks} == {"kernel", "reference"}
    limits = [random_limits(9, k, for_engine=False) for k in range(2)]
    assert drawn == [(limits[k], 9, k) for k in range(2)]
    for (name, given), asked in zip(process.asked, limits, strict=True):
        assert (name, given["limits"], given["requests"]) == ("record_alone", asked, RECORDED["requests"])
    assert json.loads(found[0].path.read_text(encoding="utf-8")) == RECORDED


def test_whole_engines_are_started_each_with_its_limits(
    tmp_path: Path, made: dict[str, Any], drawn: list[tuple[Any, ...]]
) -> None:
    process = Stand(made)
    found = list(record_random(starts(process), tmp_path, 2, 9, with_engine=True))
    assert [one.path.name for one in found] == ["engine-9-0.json", "engine-9-1.json"]
    limits = [random_limits(9, k, for_engine=True) for k in range(2)]
    assert [given["arguments"] for name, given in process.asked if name == "start"] == [*map(limit_arguments, limits)]
    assert [name for name, _ in process.asked] == ["start", "record"] * 2
    assert drawn == [(limits[k], 9, k) for k in range(2)]


def test_a_step_that_vllm_did_not_schedule_is_found(
    tmp_path: Path, made: dict[str, Any], drawn: list[tuple[Any, ...]]
) -> None:
    steps = json.loads(json.dumps(made["steps"]))
    at = next(k for k, step in enumerate(steps) if step["scheduled"])
    steps[at]["scheduled"][0][1] += 1
    (one,) = record_random(starts(Stand({**made, "steps": steps})), tmp_path, 1, 9, with_engine=False)
    assert not one.identical


def started(**given: Any) -> dict[str, Any]:
    return {"limits": {"async_scheduling": False, "max_num_seqs": 8}, "resolved": {}, **given}


def test_workloads_of_a_given_engine_are_drawn_for_its_limits(
    tmp_path: Path, made: dict[str, Any], drawn: list[tuple[Any, ...]]
) -> None:
    process: Any = Stand(made, started())
    found = list(record_given(process, tmp_path, ["--max-num-seqs=8"], 2, 5))
    assert [one.path.name for one in found] == ["workload-5-0.json", "workload-5-1.json"]
    assert process.asked[0] == ("start", {"arguments": ["--max-num-seqs=8"]})
    assert drawn == [(started()["limits"], 5, 0), (started()["limits"], 5, 1)]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (started(resolved={"speculative_config": {"method": "ngram"}}), "--speculative-config"),
        (started(limits={"async_scheduling": True}), "--async-scheduling"),
    ],
)
def test_engines_that_are_not_plain_are_refused(
    tmp_path: Path, made: dict[str, Any], given: dict[str, Any], place: str
) -> None:
    process: Any = Stand(made, given)
    with pytest.raises(InputError, match=place):
        list(record_given(process, tmp_path, [], 1, 5))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("on", [True, False])
def test_limits_are_arguments_of_vllm(on: bool) -> None:
    limits = {
        "num_gpu_blocks": 11,
        "block_size": 16,
        "max_num_batched_tokens": 512,
        "max_num_seqs": 7,
        "max_model_len": 160,
        "long_prefill_token_threshold": 33,
        "policy": "priority",
        "watermark": 0.05,
        "enable_prefix_caching": on,
        "enable_chunked_prefill": not on,
        "scheduler_reserve_full_isl": on,
        "async_scheduling": False,
    }
    found = limit_arguments(limits)
    yes, no = ("--", "--no-") if on else ("--no-", "--")
    assert set(found[2:]) >= {
        f"{yes}enable-prefix-caching",
        f"{no}enable-chunked-prefill",
        f"{yes}scheduler-reserve-full-isl",
        "--no-async-scheduling",
        "--num-gpu-blocks-override=11",
        "--block-size=16",
        "--max-num-batched-tokens=512",
        "--max-num-seqs=7",
        "--max-model-len=160",
        "--long-prefill-token-threshold=33",
        "--scheduling-policy=priority",
        "--watermark=0.05",
    }
    assert found[0] == "--model"
    assert (Path(found[1]) / "config.json").is_file()
    assert found[found.index("--load-format") + 1] == "dummy"


def test_each_token_of_a_written_tokenizer_is_a_word_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    assert not has_tokenizer(str(folder))
    assert has_tokenizer("meta-llama/Llama-3.1-8B"), "the hub has it"
    write_tokenizer(folder, 50)
    assert has_tokenizer(str(folder))
    made, settings = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("tokenizer.json", "tokenizer_config.json")
    )
    words = made["model"]["vocab"]
    assert sorted(words.values()) == list(range(50))
    assert not any(" " in word for word in words), "words are told apart by spaces"
    assert made["pre_tokenizer"] == {"type": "WhitespaceSplit"}
    special = {each["content"]: each["id"] for each in made["added_tokens"]}
    assert special == {word: words[word] for word in special}
    assert all(each["special"] for each in made["added_tokens"])
    assert set(special) == {settings[name] for name in ("unk_token", "bos_token", "eos_token")}
    assert made["model"]["unk_token"] == settings["unk_token"]


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model", "tokenizer_config.json"])
def test_any_of_the_files_of_a_tokenizer_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("", encoding="utf-8")
    assert has_tokenizer(str(tmp_path))
