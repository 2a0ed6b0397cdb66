"""What the dashboard's processes do with what they are asked: checks of scenarios, and jobs to their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit
from scenario_cases import chat

from dashboard import check_worker, worker
from dashboard.check_worker import _answer, _check, _unreadable
from dashboard.command import _arguments, dashboard
from dashboard.limits import MAX_RUN_S
from dashboard.line import Status, read_status, write_status
from simulator.errors import InputError, Problem
from simulator.run.budget import OverTimeError

FLEET = "own: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: 1}]}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "scenario.yaml"
    path.write_text(chat(FLEET, study="months: 1"))
    return path


def test_a_scenario_is_answered_with_its_requests_and_a_sweep_with_those_of_all_points(file: Path) -> None:
    one = _check(file, file.parent)["requests"]
    assert one == pytest.approx(900, rel=0.15)
    asked = {"file": str(file), "root": str(file.parent), "grid": []}
    assert _answer(asked) == {"requests": one}
    both = _answer(asked | {"grid": ["run.replications=1,3"]})
    assert both == {"requests": 4 * one}


def test_a_sweep_has_no_more_points_and_requests_than_may_be(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = ["run.seed=1,2", "run.replications=1,2"]
    one = _check(file, file.parent, grid)["requests"]
    monkeypatch.setattr(check_worker, "MAX_POINTS", 4)
    monkeypatch.setattr(check_worker, "MAX_REQUESTS", one)
    assert _check(file, file.parent, grid) == {"requests": one}
    monkeypatch.setattr(check_worker, "MAX_REQUESTS", one - 1)
    (problem,) = _check(file, file.parent, grid)["problems"]
    assert "its points simulate more than" in problem["message"]
    monkeypatch.setattr(check_worker, "MAX_POINTS", 3)
    (problem,) = _check(file, file.parent, grid)["problems"]
    assert "has 4 points, of at most 3 here" in problem["message"]


def test_what_is_wrong_is_told_and_what_cannot_be_read_in_few_words(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(file.read_text().replace("replicas: 1", "replicas: none"))
    (problem,) = _check(file, file.parent)["problems"]
    assert problem["path"] == "topologies.own.pools[0].replicas"
    assert _unreadable(MemoryError(), "a.json") == Problem("cannot be read here (MemoryError)", "a.json")
    told = _unreadable(ValueError("x" * 999), "a.json")
    assert told.message == f"cannot be read here: {'x' * 279}", "300 letters"

    def fails(*_: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(check_worker, "load_confined", fails)
    (problem,) = _check(file, file.parent)["problems"]
    assert (problem["message"], problem["file"]) == ("cannot be read here (RecursionError)", "scenario.yaml")


def test_answers_become_a_scenario_that_is_checked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = file.read_text()
    file.unlink()
    asked = {"file": str(file), "root": str(file.parent), "answers": {"model": "llama-3.1-8b-instruct"}}
    monkeypatch.setattr(check_worker, "scenario_text", lambda answers, root: text)
    monkeypatch.setattr(check_worker, "read_log", lambda answers, root: None)
    found = _answer(asked)
    assert (found["text"], found["told"], file.read_text()) == (text, {}, text)
    assert found["requests"] == _check(file, file.parent)["requests"]
    monkeypatch.setattr(check_worker, "read_log", lambda answers, root: "log")
    monkeypatch.setattr(check_worker, "log_words", lambda log: f"a {log}")
    monkeypatch.setattr(check_worker, "is_config", lambda root, name: name == "llama-3.1-8b-instruct")
    monkeypatch.setattr(check_worker, "model_words", lambda name, root: "of 8 billion weights")
    assert _answer(asked)["told"] == {"model": "of 8 billion weights", "trace": "a log"}

    def fails(error: BaseException) -> Callable[..., Any]:
        def raised(*_: Any) -> Any:
            raise error

        return raised

    monkeypatch.setattr(check_worker, "scenario_text", fails(OSError("gone")))
    assert _answer(asked)["problems"][0]["message"] == "cannot be read here: gone"
    monkeypatch.setattr(check_worker, "scenario_text", fails(InputError("no such model")))
    assert _answer(asked)["problems"][0]["message"] == "no such model"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A job whose process is this one; what it asks of the system, and the clock, are noted."""
    asked: list[Any] = []
    clock = SimpleNamespace(now_s=100.0)
    known = SimpleNamespace(
        SIGINT=signal.SIGINT,
        SIGALRM=signal.SIGALRM,
        signal=lambda number, _: asked.append(number),
        alarm=lambda seconds: asked.append(("alarm", seconds)),
    )
    monkeypatch.setattr(worker, "signal", known)
    monkeypatch.setattr(worker.resource, "getrlimit", lambda of: (3 * 2**29, -1))
    monkeypatch.setattr(worker, "limit_memory", lambda: asked.append("memory"))
    monkeypatch.setattr(os, "nice", lambda more: asked.append(("nice", more)))
    monkeypatch.setattr(worker, "time", SimpleNamespace(time=lambda: 5000.0, monotonic=lambda: clock.now_s))
    write_status(tmp_path, Status("running", queued_s=7.0, name="mine"))
    return SimpleNamespace(folder=tmp_path, asked=asked, clock=clock)


def work(job: Any, run: Callable[[Callable[[str, float], None]], Path], monkeypatch: pytest.MonkeyPatch) -> Status:
    monkeypatch.setattr(worker, "_run", lambda file, out, tell, explore_s: run(tell))
    worker.work(job.folder, job.folder / "scenario/a.yaml", job.folder / "out", 3.0)
    found = read_status(job.folder)
    assert found is not None
    return found


def test_a_job_tells_how_far_it_is_three_times_a_second_at_most_and_where_its_bundle_is(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def run(tell: Callable[[str, float], None]) -> Path:
        seen.append(read_status(job.folder))
        for after_s, share in ((0.0, 0.1), (0.25, 0.2), (0.5, 0.3)):
            job.clock.now_s = 100.0 + after_s
            tell("own", share)
            seen.append(read_status(job.folder))
        return Path("out/mine-1")

    ended = work(job, run, monkeypatch)
    assert job.asked == [signal.SIGINT, signal.SIGALRM, ("alarm", MAX_RUN_S), "memory", ("nice", 10), ("alarm", 0)]
    first, *told = seen
    begun = Status("running", doing="compiling kernels", began_s=5000.0, queued_s=7.0, name="mine")
    assert first == begun
    assert [(one.doing, one.share) for one in told] == [("simulating own", share) for share in (0.1, 0.1, 0.3)]
    assert ended == replace(begun, state="done", share=1.0, doing="done", bundle="mine-1")


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (OverTimeError(), "refused", ("took longer than the 2 h allowed here: use the command line",)),
        (MemoryError(), "refused", ("took more than the 1.5 GiB of memory allowed here: make it smaller",)),
        (InputError("too large"), "refused", ("too large",)),
        (KeyboardInterrupt(), "cancelled", ()),
        (ZeroDivisionError("why"), "failed", ("ZeroDivisionError: why",)),
    ],
)
def test_a_job_says_why_it_ended(
    error: BaseException, state: str, words: tuple[str, ...], job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: Any) -> Path:
        raise error

    if state == "failed":
        with pytest.raises(ZeroDivisionError):
            work(job, run, monkeypatch)
    else:
        work(job, run, monkeypatch)
    found = read_status(job.folder)
    assert found is not None
    assert (found.state, found.problems, found.bundle) == (state, words, None)


def test_a_server_answers_by_its_own_names_alone_and_takes_uploads_of_eight_megabytes() -> None:
    here = _arguments("127.0.0.1", 8600, True, [])
    assert {"--server.port=8600", "--server.headless=false", "--server.maxUploadSize=8"} <= set(here)
    assert "--client.allowedOrigins=http://localhost:8600" in here
    assert "--browser.serverAddress=127.0.0.1" in here
    everywhere = _arguments("0.0.0.0", 8501, False, [])
    assert "--server.headless=true" in everywhere
    assert not [word for word in everywhere if word.startswith("--server.allowedHosts")]
    assert "--browser.serverAddress=localhost" in everywhere
    named = _arguments("::", 8501, False, ["plan.example.com", "localhost"])
    hosts = [word.partition("=")[2] for word in named if word.startswith("--server.allowedHosts")]
    assert hosts == ["localhost", "127.0.0.1", "::1", "plan.example.com"]
    assert "--browser.serverAddress=plan.example.com" in named


def test_it_is_found_at_the_port_that_streamlit_has_unless_told_otherwise() -> None:
    assert signature(dashboard).parameters["port"].default == streamlit.get_option("server.port") == 8501
