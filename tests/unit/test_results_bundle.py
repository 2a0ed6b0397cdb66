"""Run bundles: whole or not at all, equal bytes for equal results, clear errors."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pandas as pd
import pytest

from simulator.errors import InputError
from simulator.results import bundle as module
from simulator.results.bundle import BundleWriter, bundle_name, read_bundle


def write(path: Path) -> None:
    with BundleWriter(path, {"scenario": "x"}) as bundle:
        bundle.json("summary.json", {"b": float("nan"), "a": [1.5, float("inf")]})
        for start in (0, 2):
            bundle.append("t.parquet", pd.DataFrame({"n": [start, start + 1], "s": ["a", "b"]}))


def test_a_bundle_reads_back_and_is_reproducible(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    write(tmp_path / "two")
    read = read_bundle(tmp_path / "one")
    assert read.summary == {"a": [1.5, None], "b": None}
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


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.Path, "write_text", full)
    with pytest.raises(InputError, match="the disk is full"), BundleWriter(tmp_path / "run", {}) as bundle:
        bundle.json("summary.json", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "is not a run bundle"),
        ({"manifest.json": "{", "summary.json": "{}"}, "broken"),
        ({"manifest.json": '{"bundle_version": 99}', "summary.json": "{}"}, "bundle version 99"),
        ({"manifest.json": '{"bundle_version": 1}'}, "summary.json"),
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
