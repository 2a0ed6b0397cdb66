"""Runs of many visitors wait in one line, in which they take turns; so do their What-ifs and checks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard import jobs, line, processes
from dashboard.line import Status, write_status
from dashboard.turns import next_round
from dashboard.visitor import visitor
from simulator.errors import InputError

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
TEXT = SCENARIO.read_text(encoding="utf-8")


def test_runs_of_an_earlier_server_are_counted_and_too_many_that_wait_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MAX_WAITING", 3)
    for k in range(4):
        folder = tmp_path / ".jobs" / f"a{k}"
        folder.mkdir(parents=True)
        write_status(folder, Status("running" if k == 2 else "waiting", 0.5, began_s=1.0, queued_s=9.0 - k))
    assert not jobs.going(tmp_path)
    for k in range(4):
        monkeypatch.setitem(jobs._PROCESSES, f"a{k}", _Going())
    assert list(jobs.going(tmp_path)) == ["a2", "a3", "a1", "a0"]
    assert [jobs.place(tmp_path, f"a{k}") for k in range(4)] == [3, 2, 0, 1]
    with pytest.raises(InputError, match="3 runs wait here already"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {})


def test_who_has_none_waiting_finds_a_place_in_a_full_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MAX_WAITING", 3)
    monkeypatch.setattr(jobs, "MOST_WAITING", 5)
    monkeypatch.setattr(jobs, "_start", lambda *given: f"{given[-2]} {given[-1]}")

    def wait(job: str, visitor: str) -> None:
        folder = tmp_path / ".jobs" / job
        folder.mkdir(parents=True)
        write_status(folder, Status("waiting", queued_s=1.0, visitor=visitor))
        monkeypatch.setitem(jobs._PROCESSES, job, _Going())

    for k in range(3):
        wait(f"a{k}", "many")
    with pytest.raises(InputError, match="3 runs wait here already"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="many")
    assert jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="one") == "one 0"
    wait("b0", "one")
    with pytest.raises(InputError, match="4 runs wait here already"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="one")
    wait("c0", "other")
    with pytest.raises(InputError, match="5 runs wait here already"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="new")


def test_who_begins_many_runs_waits_a_moment_also_if_they_were_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_start", lambda *given: f"{given[-2]} {given[-1]}")
    now_s = time.time()
    for k in range(jobs.MOST_STARTED):
        folder = tmp_path / ".jobs" / f"a{k}"
        folder.mkdir(parents=True)
        write_status(folder, Status("cancelled", queued_s=now_s - 30.0 + k, visitor="hasty"))
    with pytest.raises(InputError, match=r"10 runs of yours began within a minute: wait (30|29) s"):
        jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="hasty")
    assert jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="another") == "another 0"
    write_status(tmp_path / ".jobs" / "a0", Status("cancelled", queued_s=now_s - 61.0, visitor="hasty"))
    assert jobs.start(tmp_path, "scenario.yaml", TEXT, {}, visitor="hasty") == "hasty 0"


def test_the_newest_runs_that_ended_are_remembered_and_all_that_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_MOST_KEPT", 3)
    for k in range(6):
        folder = tmp_path / ".jobs" / f"a{k}"
        folder.mkdir(parents=True)
        write_status(folder, Status("done"))
        os.utime(folder, (time.time() - 60 * (6 - k),) * 2)
    monkeypatch.setitem(jobs._PROCESSES, "a0", _Going())
    jobs._forget_old(tmp_path)
    assert sorted(folder.name for folder in (tmp_path / ".jobs").iterdir()) == ["a0", "a3", "a4", "a5"]


def test_visitors_take_turns() -> None:
    """Five that one asks for, then two of another and one of a third: each of them waits for one of the first's."""
    served: list[tuple[str, int]] = []
    waiting: list[tuple[str, int]] = []
    for whose in "aaaaabbc":
        waiting.append((whose, next_round(whose, waiting, served)))
    order = ""
    while waiting:
        served = [min(waiting, key=lambda asked: asked[1])]
        waiting.remove(served[0])
        order += served[0][0]
        if order == "abca":
            waiting.append(("d", next_round("d", waiting, served)))
    assert order == "abcabdaaa"
    assert next_round("a", (), [("b", 7)]) == 7
    assert next_round("a", (), ()) == 0


def test_a_run_of_another_visitor_goes_before_the_second_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "has_process", lambda folder: True)
    for k, (job, turn) in enumerate((("a0", 0), ("a1", 1), ("b0", 0))):
        (tmp_path / job).mkdir()
        write_status(tmp_path / job, Status("waiting", queued_s=float(k), turn=turn))
    assert line.take_turn(tmp_path / "a0", 2)
    assert not line.take_turn(tmp_path / "a1", 2)
    assert line.take_turn(tmp_path / "b0", 2)


def test_what_lies_beside_the_jobs_and_is_none_takes_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "has_process", lambda folder: True)
    for name, state in ((".kept", "running"), ("a-0", "running"), ("a0", "waiting"), ("b0", "waiting")):
        (tmp_path / name).mkdir()
        write_status(tmp_path / name, Status(state, queued_s=float("b" in name)))
    assert line.take_turn(tmp_path / "a0", 1)
    assert not line.take_turn(tmp_path / "b0", 1), "a0 is a job and runs"


def test_one_visitors_many_questions_wait_behind_anothers_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, may_answer = [], threading.Event()

    class Answers:
        def __init__(self, module: str) -> None: ...

        def ask(self, request: dict[str, str], wait_s: float, tell: processes.Tell) -> dict[str, str]:
            asked.append(request["of"])
            may_answer.wait(60)
            return request

        def end(self) -> None: ...

    monkeypatch.setattr(processes, "_Process", Answers)
    shared = processes.Pool("none", 1)
    with ThreadPoolExecutor(5) as people:
        for k, name in enumerate(("first", "flood", "flood", "flood", "quiet")):
            people.submit(shared.ask, {"of": name}, 1.0, name)
            while len(asked) + len(shared._line) <= k:
                time.sleep(0.001)
        may_answer.set()
    assert asked == ["first", "flood", "quiet", "flood", "flood"]


def test_visitors_are_known_by_address_and_on_the_machine_itself_by_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(address: str | None, *told: str, browser: str = "") -> str:
        headers = SimpleNamespace(get_all={"X-Forwarded-For": told}.__getitem__)
        context = SimpleNamespace(ip_address=address, headers=headers, cookies={"_streamlit_xsrf": browser})
        monkeypatch.setattr("dashboard.visitor.st", SimpleNamespace(context=context))
        return visitor()

    assert known("10.0.0.1", "1.1.1.1", browser="x") == known("10.0.0.1", "2.2.2.2", browser="y") != known("10.0.0.2")
    assert known(None, "1.1.1.1", "10.0.0.1") == known("10.0.0.1"), "a proxy may add a header of its own to others'"
    assert known(None, "1.1.1.1, 10.0.0.1") == known("127.0.0.1", "9.9.9.9,10.0.0.1") == known("10.0.0.1")
    assert known(None, browser="x") != known(None, browser="y")
    assert "10.0.0.1" not in known("10.0.0.1")


def test_turns_are_taken_in_order_and_never_more_than_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = {f"a{k}" for k in range(5)}
    monkeypatch.setattr(line, "has_process", lambda folder: folder.name in alive)
    folders = [tmp_path / f"a{k}" for k in range(5)]
    for k, folder in enumerate(folders):
        folder.mkdir()
        write_status(folder, Status("waiting", queued_s=float(k)))
    with ThreadPoolExecutor(5) as pool:
        for _ in range(3):
            list(pool.map(lambda folder: line.take_turn(folder, 2), reversed(folders)))

    def states() -> list[str]:
        return [found.state for folder in folders if (found := line.read_status(folder)) is not None]

    assert states() == ["running", "running", "waiting", "waiting", "waiting"]
    alive -= {"a0", "a2"}
    assert not line.take_turn(folders[4], 2), "a3 was there before"
    assert line.take_turn(folders[3], 2), "of those before it one was killed while it ran, one while it waited"
    assert not line.take_turn(folders[4], 2)


def test_a_run_that_waits_says_its_place_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a run that goes on; whoever cancels that lets the next one begin."""
    monkeypatch.setattr(jobs, "MAX_RUNNING", 1)
    long = TEXT.replace("horizon_s: 120", "horizon_s: 150000")
    first = jobs.start(tmp_path, "scenario.yaml", long, {})
    _until(lambda: jobs.going(tmp_path)[first].state == "running")
    second, third = (jobs.start(tmp_path, "scenario.yaml", TEXT.replace("small", name), {}) for name in ("b", "c"))
    assert [jobs.place(tmp_path, job) for job in (first, second, third)] == [0, 1, 2]
    assert jobs.going(tmp_path)[third].name == "c"
    time.sleep(1.0)
    assert [found.state for found in jobs.going(tmp_path).values()] == ["running", "waiting", "waiting"]
    jobs.cancel(tmp_path, second)
    _until(lambda: (found := jobs.status(tmp_path, second)) is not None and found.state == "cancelled")
    jobs.cancel(tmp_path, first)
    _until(lambda: (found := jobs.status(tmp_path, third)) is not None and found.state == "done")
    assert not jobs.going(tmp_path)


def _until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < end_s
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("text", "name"), [("a: 1\nname: small # x\n", "small"), ("name: 'b c'\n", "b c"), ("names: 1\n", "")]
)
def test_the_line_calls_a_run_by_the_name_of_its_scenario(text: str, name: str) -> None:
    assert line.name_of(text) == name


class _Going:
    def poll(self) -> None:
        return None
