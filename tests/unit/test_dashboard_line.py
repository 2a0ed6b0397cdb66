"""What a job of the dashboard says of itself, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dashboard import line
from dashboard.line import Status, has_process, read_status, turns, write_status


def test_the_time_left_is_as_long_as_what_is_done_took_for_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line.time, "time", lambda: 1060.0)
    begun = Status("running", began_s=1000.0)
    assert replace(begun, share=0.25).left_s == 180.0
    assert replace(begun, share=1.0).left_s == 0.0
    assert replace(begun, share=0.02).left_s == pytest.approx(2940.0)
    assert replace(begun, share=0.0199).left_s is None, "there is no pace yet"


@pytest.mark.parametrize("state", ["waiting", "running", "done", "cancelled", "refused", "failed", "killed"])
def test_a_job_is_open_until_it_ends(state: str) -> None:
    assert Status(state).is_open is (state in ("waiting", "running"))


def test_a_status_is_read_as_it_was_written_and_none_where_it_is_broken(tmp_path: Path) -> None:
    told = Status("refused", share=0.5, problems=("a", "b"), name="mine", kind="sweep", visitor="v", turn=3)
    write_status(tmp_path, told)
    assert read_status(tmp_path) == told
    for text in ("{", "[]", '{"state": "done"}', '{"problems": []}', '{"state": "done", "problems": [], "more": 1}'):
        (tmp_path / "status.json").write_text(text)
        assert read_status(tmp_path) is None
    assert read_status(tmp_path / "none") is None
    (tmp_path / "pid").write_text("no number")
    assert not has_process(tmp_path)


def test_a_job_waits_between_two_looks_whether_it_may_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in vain: it sleeps half a second after each, and becomes its worker at the third."""
    may_begin, told = iter([False, False, True]), []
    monkeypatch.setattr(line, "take_turn", lambda folder, most: told.append((folder, most)) or next(may_begin))
    monkeypatch.setattr(line.time, "sleep", told.append)
    monkeypatch.setattr(line.os, "execv", lambda program, words: told.append(words[1:4]))
    monkeypatch.setattr(line.signal, "signal", lambda *_: None)
    monkeypatch.setattr(line.sys, "argv", ["line", "2", "scenario.yaml"])
    line.main(tmp_path, 2)
    asked = (tmp_path, 2)
    assert told == [asked, 0.5, asked, 0.5, asked, ["-m", "dashboard.worker", "scenario.yaml"]]


def test_a_job_that_is_interrupted_while_it_waits_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, most: int) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(line, "take_turn", interrupted)
    monkeypatch.setattr(line.signal, "signal", lambda *_: None)
    monkeypatch.setattr(line.os, "execv", lambda *_: pytest.fail("it began"))
    waits = Status("waiting", name="mine", queued_s=5.0, turn=2)
    write_status(tmp_path, waits)
    with pytest.raises(SystemExit):
        line.main(tmp_path, 2)
    assert read_status(tmp_path) == replace(waits, state="cancelled")


def test_those_that_wait_begin_by_round_then_by_age() -> None:
    jobs = {
        "late": Status("waiting", queued_s=9.0, turn=1),
        "second": Status("waiting", queued_s=1.0, turn=2),
        "early": Status("waiting", queued_s=5.0, turn=1),
        "runs": Status("running", queued_s=0.0),
    }
    assert turns(jobs) == ["early", "late", "second"]
