"""Runs are chosen by what they are, and no two are called alike."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from dashboard.run_names import labels
from simulator.results.notes import write_note
from simulator.results.seal import MANIFEST

WRITTEN_S = 1_795_000_000


def test_a_run_is_called_by_name_time_model_topologies_and_note(runs: Path, tmp_path: Path) -> None:
    (run,) = runs.glob("small-*")
    twin = run.name[:-1] + ("0" if run.name[-1] != "0" else "1")
    names = [run.name, twin, "of today"]
    for name in names:
        shutil.copytree(run, tmp_path / name)
        os.utime(tmp_path / name / MANIFEST, (WRITTEN_S, WRITTEN_S))
    write_note(tmp_path / "of today", "as offered in May, at the new price of electricity and with the old contract")
    (tmp_path / "broken-01234567").mkdir()
    found = labels({name: tmp_path / name for name in [*names, "broken-01234567"]})
    assert len(set(found.values())) == 4
    assert found[run.name].startswith("small, ")
    for name in (run.name, twin):
        assert f"({name})" in found[name]
    assert "(of today)" not in found["of today"]
    assert found["of today"].startswith("of today, ")
    assert found["of today"].endswith(", own / cloud / api, “as offered in May, at the new price of electricity and …”")
    assert ", llama-3.1-8b-instruct, own / " in found["of today"]
    assert found["broken-01234567"].startswith("broken, ")


@pytest.mark.parametrize("name", ["summary.json", "scenario.resolved.yaml"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing", "huge"])
def test_what_is_no_plain_file_of_its_size_stops_no_page(runs: Path, tmp_path: Path, name: str, kind: str) -> None:
    (run,) = runs.glob("small-*")
    shutil.copytree(run, tmp_path / run.name)
    file = tmp_path / run.name / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "huge":
        with file.open("wb") as content:
            content.truncate(2**30)
    (label,) = labels({run.name: file.parent}).values()
    assert label.startswith("small, ")
    assert "own" not in label
