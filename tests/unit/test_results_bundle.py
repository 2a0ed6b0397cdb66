"""Run bundles: whole or not at all, equal bytes for equal results, clear errors."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.results.bundle import BUNDLE_VERSION, BundleWriter, bundle_name, read_bundle, unfinished
from simulator.results.scratch import is_alive
from simulator.results.seal import differences

_ONE = {"order": ["x"], "topologies": {"x": {}}}


def write(path: Path) -> None:
    with BundleWriter(path, {"scenario": "x"}) as bundle:
        bundle.json("summary.json", {"b": float("nan"), "a": [1.5, float("inf")], **_ONE})
        for start in (0, 2):
            bundle.append("t.parquet", pd.DataFrame({"n": [start, start + 1], "s": ["a", "b"]}))


def test_a_bundle_reads_back_and_is_reproducible(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    write(tmp_path / "two")
    read = read_bundle(tmp_path / "one")
    assert read.summary == {"a": [1.5, None], "b": None, **_ONE}
    assert read.manifest["status"] == "complete"
    assert read.table("t")["n"].tolist() == [0, 1, 2, 3]
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["one", "two"]


def write_and_raise(path: Path, error: BaseException) -> None:
    with BundleWriter(path, {}) as bundle:
        bundle.append("t.parquet", pd.DataFrame({"n": [1]}))
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("boom")])
def test_an_interrupted_run_keeps_partial_results_marked(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_and_raise(tmp_path / "run", error)
    assert not (tmp_path / "run").exists()
    manifest = json.loads((tmp_path / "run.partial" / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    assert len(pd.read_parquet(tmp_path / "run.partial" / "t.parquet")) == 1
    with pytest.raises(InputError, match="interrupted run"):
        read_bundle(tmp_path / "run.partial")
    write(tmp_path / "run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="the disk is full"), BundleWriter(tmp_path / "run", {}) as bundle:
        bundle.json("summary.json", _ONE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "is not a run bundle"),
        ({"manifest.json": "{", "summary.json": "{}"}, "broken"),
        ({"manifest.json": '{"bundle_version": 3}', "summary.json": "{}"}, "bundle version 3.*run its scenario"),
        ({"manifest.json": f'{{"bundle_version": {BUNDLE_VERSION}}}'}, "altered since it was written"),
        ({"manifest.json": "[]", "summary.json": "{}"}, "not a JSON object"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_bundle(tmp_path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    write(tmp_path / "one")
    with pytest.raises(InputError, match="no table 'costs'"):
        read_bundle(tmp_path / "one").table("costs")


def test_names_follow_content() -> None:
    assert bundle_name("a", b"x") == bundle_name("a", b"x") != bundle_name("a", b"y")


def test_a_bundle_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("rows", [[0, 2, 0], [2, 0, 1], [0, 0]])
def test_frames_without_rows_do_not_decide_the_types(tmp_path: Path, rows: list[int]) -> None:
    with BundleWriter(tmp_path / "run", {}) as bundle:
        bundle.json("summary.json", _ONE)
        for n in rows:
            bundle.append("t.parquet", pd.DataFrame({"name": ["a"] * n, "x": [1.5] * n}))
    table = read_bundle(tmp_path / "run").table("t")
    assert table["name"].tolist() == ["a"] * sum(rows)
    assert list(table.columns) == ["name", "x"]


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    write(tmp_path / "one")
    table = tmp_path / "one" / "t.parquet"
    table.write_bytes(table.read_bytes()[:20])
    with pytest.raises(InputError, match=r"t\.parquet: was altered since it was written"):
        read_bundle(tmp_path / "one").table("t")


def test_what_is_not_as_it_was_written_is_named(tmp_path: Path) -> None:
    write(tmp_path / "one")
    folder = tmp_path / "one"
    read = read_bundle(folder)
    assert list(differences(read.manifest, folder)) == []
    (folder / "report.html").write_text("")
    (folder / "timing.json").write_text("{}")
    assert list(differences(read.manifest, folder)) == []
    (folder / "t.parquet").unlink()
    (folder / "t.parquet").mkdir()
    (folder / "foreign.csv").write_text("")
    (folder / "link").symlink_to("link")
    named = {Path(problem.file or "").name for problem in differences(read.manifest, folder)}
    assert named == {"t.parquet", "foreign.csv", "link"}
    with pytest.raises(InputError, match="it is a folder"):
        read.table("t")


@pytest.mark.parametrize("key", ["scenario", "sha256", "status", "seal"])
def test_a_manifest_with_a_key_missing_or_changed_is_refused(tmp_path: Path, key: str) -> None:
    write(tmp_path / "one")
    file = tmp_path / "one" / "manifest.json"
    sound = json.loads(file.read_text())
    for value in ({}, 7, None):
        file.write_text(json.dumps({**sound, key: value}))
        with pytest.raises(InputError, match="altered"):
            read_bundle(tmp_path / "one")
    file.write_text(json.dumps({name: sound[name] for name in sound if name != key}))
    with pytest.raises(InputError, match="altered"):
        read_bundle(tmp_path / "one")


def test_an_older_bundle_survives_when_the_new_one_cannot_take_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run")
    before = (tmp_path / "run" / "t.parquet").read_bytes()
    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if self.name.startswith(".run.") and not self.name.endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    monkeypatch.setattr("simulator.results.bundle._exchange", lambda *_: False)
    with pytest.raises(InputError, match="Input/output error"):
        write(tmp_path / "run")
    assert (tmp_path / "run" / "t.parquet").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write results"):
        write(tmp_path / "file" / "run")


def test_what_a_killed_process_had_begun_is_removed_and_what_goes_on_stays(tmp_path: Path) -> None:
    dead = next(pid for pid in range(4_000_000, 5_000_000) if not is_alive(pid))
    for name in (f".other-1.{dead}", f".other-2.{os.getpid()}", ".jobs", f"seen.{dead}"):
        (tmp_path / name).mkdir()
    (tmp_path / f".file.{dead}").write_text("")
    with BundleWriter(tmp_path / "mine-1", {}):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ("mine-1", f".other-2.{os.getpid()}", ".jobs", f"seen.{dead}", f".file.{dead}")
    )


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_older_bundle_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr("simulator.results.bundle._exchange", lambda *_: False)
    for text in ("first", "second"):
        with BundleWriter(tmp_path / "mine-1", {}) as bundle:
            bundle.text("a.txt", text)
    assert (tmp_path / "mine-1" / "a.txt").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["mine-1"]


def test_between_an_older_bundle_and_its_successor_there_is_no_moment_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "mine-1"
    with BundleWriter(place, {}):
        pass
    seen = []
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: seen.append((place / "manifest.json").is_file()))
    monkeypatch.setattr(Path, "rename", None)
    with BundleWriter(place, {}):
        pass
    assert all(seen)


def test_what_this_process_had_begun_before_is_no_part_of_the_bundle(tmp_path: Path) -> None:
    left = unfinished(tmp_path / "mine-1")
    left.mkdir()
    (left / "old.txt").write_text("old")
    write(tmp_path / "mine-1")
    assert "old.txt" not in {path.name for path in (tmp_path / "mine-1").iterdir()}
    assert not left.exists()
