"""Recordings of drawn engines in all modes: refused ones told, others written and replayed, vLLM ended after all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibrate.experiments import core_schedules as place
from calibrate.experiments.core_schedules import CoreRecording, record_cores
from calibrate.vllm_process import EngineError

PLAIN = Path(__file__).parents[1] / "data/vllm-schedule-traces/h100_engine.json"


class Vllm:
    """A process that answers with a recording, and with failures at given engines."""

    def __init__(self, made: dict[str, Any], fails: dict[int, EngineError]) -> None:
        self.made, self.fails, self.asked, self.is_closed = made, fails, list[dict[str, Any]](), False

    def call(self, name: str, **given: Any) -> Any:
        if name == "versions":
            return {"vllm": "0.32.0+cpu"}
        assert name == "record_core"
        self.asked.append(given)
        if error := self.fails.get(len(self.asked)):
            raise error
        return self.made

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def recorded() -> dict[str, Any]:
    """A recording of plain serving, as if it had been drawn."""
    return {**json.loads(PLAIN.read_text(encoding="utf-8")), "mode": "plain", "facts": {"counts": {"preemptions": 1}}}


@pytest.fixture
def drawn(recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What engines are drawn for: the recording's, named by its mode."""
    asked: list[tuple[Any, ...]] = []

    def draw(*given: Any) -> Any:
        asked.append(given)
        return SimpleNamespace(
            engine={"number": len(asked)},
            requests=recorded["requests"],
            events=["event"],
            mode=recorded["mode"],
            modes=("plain",),
        )

    monkeypatch.setattr(place, "draw_engine", draw)
    monkeypatch.setattr(place, "asked_of", lambda engine: engine["number"])
    monkeypatch.setattr(place, "refusals", lambda number, version: [])
    monkeypatch.setattr(place, "_replay", lambda path: (SimpleNamespace(first_difference="", of=path),))
    return asked


def made(recorded: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recorded.items() if name not in ("format", "mode", "requests")}


def run(vllm: Any, out: Path, number: int, **given: Any) -> Iterator[Any]:
    return record_cores(lambda: vllm, out, number, 5, ["async"], **given)


@pytest.mark.parametrize(("edges", "name"), [(False, "core"), (True, "edge")])
def test_engines_are_numbered_on_from_the_first_and_written_as_recorded(
    edges: bool, name: str, recorded: dict[str, Any], drawn: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    vllm = Vllm(made(recorded), {})
    found = list(run(vllm, tmp_path / "new", 2, first=7, edges=edges))
    assert drawn == [(5, 7, ["async"], edges), (5, 8, ["async"], edges)]
    assert [one.path.name for one in found] == [f"{name}-5-7.json.gz", f"{name}-5-8.json.gz"]
    assert [given["engine"] for given in vllm.asked] == [{"number": 1}, {"number": 2}]
    assert all(given["requests"] is recorded["requests"] and given["events"] == ["event"] for given in vllm.asked)
    for one in found:
        assert json.loads(gzip.decompress(one.path.read_bytes())) == recorded
        assert one.facts == recorded["facts"]
        assert [check.of for check in one.checks] == [one.path]
        assert not one.differs
    assert found[0].path.read_bytes() == found[1].path.read_bytes(), "the same content, the same bytes"
    assert vllm.is_closed


@pytest.mark.parametrize(
    ("differences", "differs"), [(("", ""), False), (("", "step 3"), True), (("step 3", ""), True)]
)
def test_a_recording_differs_where_any_replay_does(differences: tuple[str, ...], differs: bool) -> None:
    checks: Any = tuple(SimpleNamespace(first_difference=one) for one in differences)
    assert CoreRecording(("plain",), checks=checks).differs is differs


def test_what_vllm_refuses_is_told_without_its_log_and_the_others_go_on(
    recorded: dict[str, Any],
    drawn: list[tuple[Any, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusals(number: int, version: str) -> list[Any]:
        return [SimpleNamespace(message=f"not with {version}")] if number == 1 else []

    monkeypatch.setattr(place, "refusals", refusals)
    error = EngineError("refused", "no such layers (vLLM's output: …)")
    known, told, fine = run(Vllm(made(recorded), {1: error}), tmp_path, 3)
    assert (known.path, known.refusal) == (None, "vLLM 0.32.0 refuses it: not with 0.32.0")
    assert (told.path, told.refusal) == (None, "no such layers")
    assert fine.path is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_a_vllm_that_died_ends_the_recording(
    recorded: dict[str, Any], drawn: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    vllm = Vllm(made(recorded), {2: EngineError("died", "killed")})
    going = run(vllm, tmp_path, 3)
    assert next(going).path is not None
    with pytest.raises(EngineError, match="killed"):
        next(going)
    assert vllm.is_closed
