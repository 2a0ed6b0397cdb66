"""Runs get names and go, at once and on disk."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path

import pytest

from simulator.cli.main import _run
from simulator.errors import InputError
from simulator.results.bundle import BundleWriter, clear_unfinished, read_manifest
from simulator.results.notes import read_note, write_note
from simulator.results.seal import NOTE, differences
from simulator.results.shelf import bundle_folders, delete_bundle, rename_bundle, sweep_folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name, kind in (("a-1", "run"), ("b-2", "sweep")):
        with BundleWriter(tmp_path / name, {"kind": kind, "scenario": name}) as bundle:
            bundle.text("said.txt", name)
    return tmp_path / "a-1"


def test_a_renamed_run_is_whole_under_its_new_name_alone(run: Path) -> None:
    new = rename_bundle(run, "as of today, ".rstrip(", "))
    assert new == run.with_name("as of today")
    assert read_manifest(new)["scenario"] == "a-1"
    assert bundle_folders((str(run.parent),)) == [new]
    assert sweep_folders((str(run.parent),)) == [run.with_name("b-2")]
    assert not run.exists()


@pytest.mark.parametrize(
    "name", ["", "..", ".a", "a/b", "-a", "a\n", "a\0b", "x" * 101, "a ", "ä", "a.partial", "a.points", "b-2"]
)
def test_a_name_that_cannot_be_is_refused_and_nothing_moves(run: Path, name: str) -> None:
    before = sorted(run.parent.rglob("*"))
    with pytest.raises(InputError, match="the name"):
        rename_bundle(run, name)
    assert sorted(run.parent.rglob("*")) == before


def test_a_deleted_run_is_gone_and_so_is_what_a_kill_left_of_one(run: Path) -> None:
    delete_bundle(run)
    assert [path.name for path in run.parent.iterdir()] == ["b-2"]
    for gone in (run, run.parent, run.parent / "b-2" / "note.txt"):
        with pytest.raises(InputError, match="neither a run nor a sweep"):
            delete_bundle(gone)
        with pytest.raises(InputError, match="neither a run nor a sweep"):
            rename_bundle(gone, "x")
    (run.parent / "b-2").rename(run.parent / f".b-2.{2**22 + 1}")  # as a kill between the two steps leaves it
    clear_unfinished(run.parent)
    assert not list(run.parent.iterdir())


def test_where_one_stands_has_a_name(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "inside").mkdir()
    monkeypatch.chdir(run / "inside")
    assert rename_bundle(Path(".."), "c") == run.with_name("c")
    monkeypatch.chdir(run.with_name("c"))
    assert rename_bundle(Path("."), "d") == run.with_name("d")
    delete_bundle(Path("."))
    assert [path.name for path in run.parent.iterdir()] == ["b-2"]


def test_a_link_goes_alone(run: Path) -> None:
    link = run.with_name("link")
    link.symlink_to(run)
    delete_bundle(link)
    assert not os.path.lexists(link)
    assert (run / "manifest.json").is_file()


def test_the_command_lists_renames_and_removes_only_when_it_is_sure(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["runs", "list", str(run.parent)]) == 0
    shown = capsys.readouterr().out
    assert str(run) in shown
    assert "b-2  sweep" in shown.replace("   ", "  ")
    assert _run(["runs", "rename", str(run), "mine"]) == 0
    assert capsys.readouterr().out.strip() == str(run.with_name("mine"))
    assert _run(["runs", "delete", str(run.with_name("mine"))]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert run.with_name("mine").is_dir()
    assert _run(["runs", "delete", str(run.with_name("mine")), str(run), "--yes"]) == 2
    assert run.with_name("mine").is_dir(), "nothing goes where one of them is none"
    assert _run(["runs", "delete", str(run.with_name("mine")), "--yes"]) == 0
    assert not run.with_name("mine").exists()


def test_a_note_goes_with_its_run_and_no_check_looks_at_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["runs", "note", str(run), "  as offered\nin May "]) == 0
    assert _run(["runs", "note", str(rename_bundle(run, "mine"))]) == 0
    assert capsys.readouterr().out == "as offered\nin May\n"
    mine = run.with_name("mine")
    assert list(differences(read_manifest(mine), mine)) == []
    assert _run(["runs", "list", str(run.parent), "--format", "json"]) == 0
    assert [row["note"] for row in json.loads(capsys.readouterr().out)] == ["as offered\nin May", ""]
    write_note(mine, "as offered\nin May\n" + "and so on " * 50)
    assert _run(["runs", "list", str(run.parent)]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if str(mine) in line)
    assert "as offered in May and so on" in row
    assert row.rstrip().endswith(" …"), "one line, and no more of it"
    write_note(mine, "as offered\nin May")
    assert _run(["runs", "note", str(mine), "x" * 10_001]) == 2
    assert "10,000 characters" in capsys.readouterr().err
    assert read_note(mine) == "as offered\nin May\n"
    assert _run(["runs", "note", str(mine), ""]) == 0
    assert not (mine / NOTE).exists()
    assert _run(["runs", "note", str(run), "gone"]) == 2


def test_what_is_no_plain_file_is_no_note(run: Path) -> None:
    (run / NOTE).symlink_to("manifest.json")
    assert read_note(run) == ""
    write_note(run, "mine")
    assert read_manifest(run)["scenario"] == "a-1"
    assert read_note(run) == "mine\n"
    (run / NOTE).write_bytes(b"\xff")
    assert read_note(run) == ""


def test_of_a_run_that_is_a_link_the_link_alone_is_deleted(run: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    link = shelf / "linked"
    link.symlink_to(run)
    delete_bundle(link)
    assert list(shelf.iterdir()) == [], "nothing hidden is left either"
    assert read_manifest(run)["scenario"] == "a-1"


def test_a_manifest_has_four_megabytes_at_most_and_is_a_plain_file(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = import_module("simulator.results.shelf")
    size = (run / "manifest.json").stat().st_size
    monkeypatch.setattr(place, "_MAX_MANIFEST_BYTES", size)
    assert bundle_folders((str(run),)) == [run]
    monkeypatch.setattr(place, "_MAX_MANIFEST_BYTES", size - 1)
    assert bundle_folders((str(run),)) == []
