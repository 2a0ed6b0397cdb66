"""What a sweep keeps of its tasks, and what killed processes leave, and shards with files that are not theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.sweep.shard_bundle import _inputs
from simulator.sweep.store import Store


def test_what_killed_processes_left_is_removed_and_what_others_write_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    store = Store(tmp_path / "tasks")
    store.keep("a", {"status": "done"})
    store.keep("b", {"status": "failed"})
    dead, alive = (tmp_path / f"tasks/.c.json.part{pid}" for pid in (gone.pid, os.getppid()))
    for place in (dead, alive):
        place.write_text("{")
    (tmp_path / "tasks/torn.json").write_text("{")
    assert store.finished() == {"a": {"status": "done"}, "b": {"status": "failed"}}
    assert (dead.exists(), alive.exists()) == (False, True)
    store.clear()
    assert not store.folder.exists()


def test_a_sweep_that_has_kept_nothing_has_nothing_to_clear(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.finished() == {}
    store.clear()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["../secret", "inputs/../../secret", "/etc/hosts"])
def test_a_shard_names_no_file_outside_of_its_bundle(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is outside of its bundle") as refused:
        _inputs({"sha256": {"points.json": "", "results.json": "", name: ""}}, tmp_path)
    assert refused.value.problems[0].got == name
