"""Versions of a draft: none is lost, none is written over another's."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashboard import drafts, jobs
from dashboard.workspace import text_of_run
from simulator.errors import InputError


def test_of_two_who_save_at_once_one_is_told(tmp_path: Path) -> None:
    draft = drafts.begin(tmp_path, "a: 1", {"m.json": b"{}"}, "ann")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: drafts.save(tmp_path, draft, 1, f"a: {k}", str(k)), range(8)))
    (won,) = [version for version in found if version is not None]
    assert [version.text for version in drafts.versions(tmp_path, draft)] == ["a: 1", won.text]
    assert drafts.latest(tmp_path, draft) == won.number == 2
    assert drafts.beside(tmp_path, draft) == {"m.json": b"{}"}
    assert not [file for file in (tmp_path / drafts.FOLDER / draft).iterdir() if file.name.startswith(".")]


def test_the_newest_versions_and_drafts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "MOST_VERSIONS", 3)
    monkeypatch.setattr(drafts, "_MOST_DRAFTS", 2)
    first = drafts.begin(tmp_path, "0", {}, "ann")
    for number in range(1, 6):
        drafts.save(tmp_path, first, number, str(number), "ann")
    assert [version.number for version in drafts.versions(tmp_path, first)] == [4, 5, 6]
    old = time.time() - 60
    os.utime(tmp_path / drafts.FOLDER / first, (old, old))
    others = [drafts.begin(tmp_path, "x", {}, name) for name in ("bob", "cyd", "dan")]
    assert drafts.versions(tmp_path, first) == []
    assert drafts.versions(tmp_path, others[-1])
    with pytest.raises(InputError, match="cannot be kept"):
        drafts.save(tmp_path, first, 6, "more", "ann")


def test_who_begins_many_drafts_pushes_out_their_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "_MOST_DRAFTS", 4)
    anns = [drafts.begin(tmp_path, "x", {}, "ann") for _ in range(2)]
    for draft in anns:
        os.utime(tmp_path / drafts.FOLDER / draft, (time.time() - 86_400,) * 2)
    for _ in range(20):
        drafts.begin(tmp_path, "x", {}, "bob")
    assert all(drafts.versions(tmp_path, draft) for draft in anns)
    assert len(list((tmp_path / drafts.FOLDER).iterdir())) <= 5


def test_no_draft_lies_elsewhere_and_none_is_too_long(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{}")
    for name in ("../..", "..", "", "a/b", "x" * 10_000, "ünï"):
        assert jobs.status(tmp_path / "x", name) is None
        assert drafts.versions(tmp_path / "x", name) == []
        assert drafts.latest(tmp_path / "x", name) == 0
    with pytest.raises(InputError, match="longer than"):
        drafts.begin(tmp_path, "x" * 200_000, {}, "ann")
    mib = 1_048_576
    for more, kept in ((0, {"big.json", "one.json"}), (1, set())):
        big = drafts.begin(tmp_path, "x", {"big.json": b"0" * (mib - 1), "one.json": b"0" * (1 + more)}, "ann")
        assert set(drafts.beside(tmp_path, big)) == kept


def test_the_text_of_a_run_names_no_folder_of_the_server(runs: Path) -> None:
    (run,) = runs.glob("small-*")
    text = text_of_run(run)
    assert "# /" not in text
    assert "# dashboard.yaml:4:8" in text
