"""Files that are written whole or not at all, and what is left of one that was not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from simulator.results.files import write_bytes
from simulator.sweep.store import Store


def test_what_a_killed_writer_left_of_a_file_goes_with_the_next(tmp_path: Path) -> None:
    """SIGKILL between the writing of a file and its naming; others' hidden files, and those of the living, stay."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, own = tmp_path / f".memo.md.part{dead.pid}", tmp_path / f".memo.md.part{os.getppid()}"
    others = [tmp_path / f".other.md.part{dead.pid}", tmp_path / ".memo.md.20261130", own]
    for file in (left, *others):
        file.write_text("half")
    write_bytes(tmp_path / "memo.md", b"whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "memo.md", *others])


def test_who_is_interrupted_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(file: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "memo.md", b"whole")
    assert not [*tmp_path.iterdir()]


def test_a_sweep_that_goes_on_clears_what_was_not_whole(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f".a.json.part{dead.pid}").write_text("{")
    store = Store(tmp_path)
    store.keep("b", {"x": 1})
    assert store.finished() == {"b": {"x": 1}}
    assert [file.name for file in tmp_path.iterdir()] == ["b.json"]
