"""What `servecast verify` prints of recordings that were replayed: cells by mode, versions, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.cli import verify
from simulator.cli.main import _run
from simulator.engine.verify import ScheduleCheck
from simulator.results.bundle import BUNDLE_VERSION
from simulator.results.seal import sealed

Capture = pytest.CaptureFixture[str]


def check(identical: int, n: int, mode: str = "plain", version: str = "0.33.0", **more: str) -> ScheduleCheck:
    differs = "entry 1:" if identical < n and "missing" not in more else None
    return ScheduleCheck("f.json", identical, n, differs, more.pop("engine", "kernel"), mode, version, **more)


@pytest.mark.parametrize(
    ("checks", "cell"),
    [
        ([], ""),
        ([check(0, 7, missing="drafts")], "not simulated"),
        ([check(7, 7)], "7 / 7"),
        ([check(1499, 1500), check(700, 700)], "2,199 / 2,200"),
        ([check(1500, 1500), check(0, 1700, missing="drafts")], "1,500 / 1,500 of 3,200"),
    ],
)
def test_a_cell_is_identical_of_replayed_of_recorded(checks: list[ScheduleCheck], cell: str) -> None:
    assert verify._cell(checks) == cell


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, tuple[ScheduleCheck, ...]]:
    """What is told of each recording of the folder, by its name."""
    found: dict[str, tuple[ScheduleCheck, ...]] = {}
    monkeypatch.setattr(verify, "_check", lambda file, engine: found[file.name])
    monkeypatch.chdir(tmp_path)
    return found


def rows(text: str) -> list[list[str]]:
    return [line.split("  ") for line in text.splitlines()]


def test_a_recording_in_two_modes_counts_in_each_and_once_in_all(
    replayed: dict[str, tuple[ScheduleCheck, ...]], tmp_path: Path, capsys: Capture
) -> None:
    replayed["a.json"] = check(5, 5, "drafts+windows"), check(4, 5, "drafts+windows", engine="reference")
    replayed["b.json.gz"] = check(0, 3, "drafts", "0.32.0", missing="x"), check(3, 3, "drafts", "0.32.0", engine="two")
    (tmp_path / "in").mkdir()
    for name in (*replayed, "c.txt"):
        (tmp_path / "in" / name).touch()
    assert _run(["verify", "versions", str(tmp_path)]) == 1
    lines = [[cell.strip() for cell in line if cell.strip()] for line in rows(capsys.readouterr().out)]
    assert lines[0] == [
        "mode",
        "kernel, vLLM 0.32.0",
        "kernel, vLLM 0.33.0",
        "reference, vLLM 0.33.0",
        "two, vLLM 0.32.0",
    ]
    assert lines[2:] == [
        ["drafts", "not simulated", "5 / 5", "4 / 5", "3 / 3"],
        ["windows", "5 / 5", "4 / 5"],
        ["all recordings", "not simulated", "5 / 5", "4 / 5", "3 / 3"],
    ]


def test_a_mode_that_is_missing_fails_a_schedule_and_no_question_of_versions(
    replayed: dict[str, tuple[ScheduleCheck, ...]], capsys: Capture
) -> None:
    replayed["a.json"] = (check(0, 3, "drafts", missing="drafts of EAGLE"),)
    assert _run(["verify", "schedule", "a.json"]) == 1
    shown = capsys.readouterr().out
    assert shown == "f.json: kernel: not replayed, the engine does not have: drafts of EAGLE\n"
    assert _run(["verify", "versions", "a.json"]) == 0
    assert "not simulated" in capsys.readouterr().out


def test_one_recording_has_no_table_and_two_have(
    replayed: dict[str, tuple[ScheduleCheck, ...]], capsys: Capture
) -> None:
    replayed["a.json"], replayed["b.json"] = (check(3, 3, version="9.1"),), (check(1, 2, version="9.0"),)
    assert _run(["verify", "schedule", "a.json"]) == 0
    told = "no recordings have proven it; replayed by the rules of 0.33.0"
    assert capsys.readouterr().out.splitlines() == ["f.json: kernel: 3 / 3 steps identical", f"vLLM 9.1: {told}"]
    assert _run(["verify", "schedule", "a.json", "b.json"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[:4] == [
        "f.json: kernel: 3 / 3 steps identical",
        "f.json: kernel: 1 / 2 steps identical",
        "entry 1:",
        "",
    ]
    assert shown[4].split("  ")[0] == "mode"
    assert shown[-2:] == [f"vLLM 9.0: {told}", f"vLLM 9.1: {told}"]


def test_a_bundle_that_differs_among_others_is_told_and_fails(tmp_path: Path, capsys: Capture) -> None:
    whole, altered = tmp_path / "whole", tmp_path / "altered"
    for folder in (altered, whole):
        folder.mkdir()
        (folder / "one.txt").write_text("1")
        (folder / "two.txt").write_text("2")
        written = sealed({"bundle_version": BUNDLE_VERSION}, folder)
        (folder / "manifest.json").write_text(json.dumps(written))
    assert _run(["verify", "bundle", str(whole)]) == 0
    assert capsys.readouterr().out == f"{whole}: 2 files, all as they were written\n"
    (altered / "two.txt").write_text("3")
    (altered / "three.txt").write_text("3")
    for name in ("timing.json", "note.txt", "memo.pdf"):
        (altered / name).touch()
    for order in ((altered, whole), (whole, altered)):
        assert _run(["verify", "bundle", *map(str, order)]) == 1
        shown = capsys.readouterr().out
        assert f"{whole}: 2 files, all as they were written\n" in shown
        assert f"{altered}/two.txt: was altered since it was written" in shown
        assert f"{altered}/three.txt: is no file that its run wrote" in shown
        assert len(shown.splitlines()) == 3, "what is left out of the seal, a note and a memo are no difference"
