"""Points of a profile on disk: what was cut short goes on, what is another engine's is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from calibrate.experiments.store import FORMAT, POINTS, PointStore
from calibrate.recording.bundle import META, STEPS
from simulator.errors import InputError

ENGINE = {"model": "small", "seed": 3}


def row(batch: list[list[int]], gap_s: float | None = 0.5, **given: Any) -> dict[str, Any]:
    return {"batch": batch, "gap_s": gap_s, "dur_s": 0.25, "tag": "decode", "free_blocks": 9, "preemptions": 0, **given}


def test_a_run_that_was_cut_short_goes_on_from_its_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PointStore(tmp_path / "new", ENGINE)
    store.append({"speed": 1.0})
    store.append({"speed": 2.0, "rows": []})
    store.append({"failure": "too large"})
    path = tmp_path / "new" / POINTS
    whole = path.read_text()
    path.write_text(whole + '{"rows": [')
    with monkeypatch.context() as died:  # what was measured is not written once more: that could be cut short, too
        died.setattr(Path, "write_text", lambda *given, **more: pytest.fail("written anew"))
        again = PointStore(tmp_path / "new", ENGINE)
    assert again.records == [{"identity": ENGINE}, {"speed": 1.0}, {"speed": 2.0, "rows": []}, {"failure": "too large"}]
    assert path.read_text() == whole
    assert again.find("speed") == {"speed": 2.0, "rows": []}
    assert again.find("other") is None
    assert (again.measured, again.failed) == ([{"speed": 2.0, "rows": []}], [{"failure": "too large"}])
    again.append({"rows": [1]})
    assert [json.loads(line) for line in path.read_text().splitlines()] == again.records


def test_another_engine_s_profile_is_refused_with_what_differs(tmp_path: Path) -> None:
    PointStore(tmp_path, ENGINE)
    with pytest.raises(InputError) as refused:
        PointStore(tmp_path, {"model": "large", "seed": 3, "new": 1})
    (problem,) = refused.value.problems
    assert (problem.file, problem.path) == (str(tmp_path), "--out")
    assert problem.got == "model 'large', there 'small', new 1, there None"
    assert PointStore(tmp_path, ENGINE).records == [{"identity": ENGINE}]


def test_a_finished_profile_has_a_row_for_each_request_of_each_step(tmp_path: Path) -> None:
    store = PointStore(tmp_path, ENGINE)
    store.append({"point": "a", "repeat": 0, "rows": [row([[8, 0], [1, 20]], None), row([[1, 8]], tag="mixed")]})
    store.append({"failure": "none"})
    store.append({"point": "b", "repeat": 1, "rows": [row([[3, 4]], free_blocks=7, preemptions=2)]})
    store.finish({"limits": 1})
    assert json.loads((tmp_path / META).read_text()) == {"format": FORMAT, "limits": 1}
    found = pq.read_table(tmp_path / STEPS).to_pylist()
    shown = ("step", "point", "repeat", "tag", "tokens", "computed_before", "free_blocks", "preemptions", "dur_s")
    assert [tuple(one[name] for name in shown) for one in found] == [
        (0, "a", 0, "decode", 8, 0, 9, 0, 0.25),
        (0, "a", 0, "decode", 1, 20, 9, 0, 0.25),
        (1, "a", 0, "mixed", 1, 8, 9, 0, 0.25),
        (2, "b", 1, "decode", 3, 4, 7, 2, 0.25),
    ]
    assert [math.isnan(one["gap_s"]) for one in found] == [True, True, False, False]
    assert found[2]["gap_s"] == 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([META, POINTS, STEPS])
