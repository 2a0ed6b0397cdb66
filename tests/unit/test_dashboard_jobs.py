"""Runs in processes of their own: their end is told, whatever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dashboard import jobs, line
from dashboard.line import Status, write_status
from dashboard.workspace import gallery, lay_out, load_confined
from simulator.errors import InputError
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep

TEXT = (Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml").read_text(encoding="utf-8")
LONG = TEXT.replace("horizon_s: 120", "horizon_s: 150000")
PATIENCE_S = 240.0


def ended(out: Path, job: str) -> Status:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        found = jobs.status(out, job)
        assert found is not None
        if not found.is_open:
            return found
        time.sleep(0.1)
    raise AssertionError("the run did not end")


def simulating(out: Path, job: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        found = jobs.status(out, job)
        if found is not None and found.share > 0:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not begin")


def test_a_run_ends_with_its_bundle(tmp_path: Path) -> None:
    found = ended(tmp_path, jobs.start(tmp_path, "scenario.yaml", TEXT, {}))
    assert found.state == "done"
    assert (tmp_path / str(found.bundle) / "summary.json").is_file()


def test_a_sweep_gives_the_bytes_of_the_command(tmp_path: Path) -> None:
    grid = ["topologies.own.pools[base].replicas=1,2", "run.seed=1"]
    short = TEXT.replace("replications: 2", "replications: 1")
    found = ended(tmp_path, jobs.start(tmp_path, "small.yaml", short, {}, grid=grid))
    assert (found.state, found.kind) == ("done", "sweep")
    (tmp_path / "small.yaml").write_text(short)
    alone = run_sweep(read_sweep(tmp_path / "small.yaml", grid), tmp_path / "alone", jobs=1).bundle
    assert str(found.bundle) == alone.name
    assert (tmp_path / str(found.bundle) / "sweep.parquet").read_bytes() == (alone / "sweep.parquet").read_bytes()


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (["run.seed=" + ",".join(map(str, range(101)))], "101 points"),
        (["run.horizon_s=200000,200001,200002,200003,200004"], "points simulate more than"),
        (["model=/etc"], "no such file in the scenario's folder"),
        (["run.seed=1", "run.seed=2"], "varied twice"),
        (["topologies.own.pools[base].replicas=-1"], "greater than"),
    ],
)
def test_a_sweep_is_as_confined_as_a_run(tmp_path: Path, grid: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        jobs.start(tmp_path, "small.yaml", TEXT, {}, grid=grid)


def test_a_cancelled_run_keeps_what_it_found_and_a_killed_one_is_told(tmp_path: Path) -> None:
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does with what it starts in the background
    try:
        first = jobs.start(tmp_path, "scenario.yaml", LONG, {})
    finally:
        signal.signal(signal.SIGINT, usual)
    simulating(tmp_path, first)
    jobs.cancel(tmp_path, first)
    assert ended(tmp_path, first).state == "cancelled"
    assert list(tmp_path.glob("*.partial"))
    second = jobs.start(tmp_path, "scenario.yaml", LONG, {})
    simulating(tmp_path, second)
    os.kill(int((tmp_path / ".jobs" / second / "pid").read_text()), signal.SIGKILL)
    assert ended(tmp_path, second).state == "killed"


@pytest.mark.parametrize(
    ("number", "is_asked", "state", "words"),
    [
        (signal.SIGINT, True, "cancelled", ()),
        (signal.SIGINT, False, "killed", ("its process was ended by SIGINT",)),
        (
            signal.SIGKILL,
            False,
            "killed",
            ("its process was ended by SIGKILL, as systems do where memory runs out",),
        ),
        (signal.SIGRTMIN + 1, False, "killed", (f"its process was ended by signal {signal.SIGRTMIN + 1}",)),
    ],
)
def test_a_run_that_is_only_being_loaded_is_cancelled_too_and_what_ended_another_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    is_asked: bool,
    state: str,
    words: tuple[str, ...],
) -> None:
    """Nobody listens to signals while modules are imported: the process is gone, and says nothing."""
    folder = tmp_path / ".jobs/a0"
    folder.mkdir(parents=True)
    write_status(folder, Status("running"))
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started this with it ignored
    process = subprocess.Popen(["sleep", "60"])
    signal.signal(signal.SIGINT, usual)
    monkeypatch.setitem(jobs._PROCESSES, "a0", process)
    if is_asked:
        jobs.cancel(tmp_path, "a0")
    else:
        process.send_signal(number)
    found = ended(tmp_path, "a0")
    assert (found.state, found.problems) == (state, words)
    assert not Path(f"/proc/{process.pid}").exists(), "nothing is left of it, a zombie neither"
    jobs.cancel(tmp_path, "a0")
    assert ended(tmp_path, "a0") == found


def test_a_run_whose_turn_comes_after_it_was_cancelled_never_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the signal came before the one who waits listened to any."""
    write_status(tmp_path, Status("waiting", name="mine"))
    (tmp_path / line.CANCELLED).touch()
    monkeypatch.setattr(line.os, "execv", lambda *given: pytest.fail("it began"))
    usual = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit):
            line.main(tmp_path, 1)
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, usual)
    assert line.read_status(tmp_path) == Status("cancelled", name="mine")


def test_what_cannot_run_is_refused_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scenario\.yaml:\d+"):
        jobs.start(tmp_path, "scenario.yaml", TEXT.replace("horizon_s: 120", "horizon_s: -1"), {})
    with pytest.raises(InputError, match="more than the 20,000,000 simulated requests"):
        jobs.start(tmp_path, "scenario.yaml", TEXT.replace("horizon_s: 120", "horizon_s: 30000000"), {})
    assert jobs.status(tmp_path, "../../etc") is None
    assert not list((tmp_path / ".jobs").iterdir())


def test_an_upload_cannot_take_the_place_of_the_scenario(tmp_path: Path) -> None:
    file = lay_out(tmp_path, "scenario.yaml", TEXT, {"scenario.yaml": b"other", "beside.csv": b"1"})
    assert file.read_text() == TEXT
    assert (tmp_path / "beside.csv").read_bytes() == b"1"


@pytest.mark.parametrize("place", ["../outside.yaml", "/outside.yaml"])
def test_a_scenario_is_laid_out_inside_its_folder(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="leads out"):
        lay_out(tmp_path / "root", place, TEXT)


def test_the_gallery_begins_with_the_quickstart_and_has_no_part_of_a_scenario() -> None:
    assert gallery()[0] == "quickstart.yaml"
    assert gallery()[1:] == sorted(gallery()[1:])
    assert "overlays/quick.yaml" not in gallery()


@pytest.mark.parametrize("name", gallery())
def test_every_shipped_scenario_can_be_laid_out_and_loaded(tmp_path: Path, name: str) -> None:
    from dashboard.workspace import shipped

    text = (shipped() / name).read_text(encoding="utf-8")
    load_confined(lay_out(tmp_path, name, text), tmp_path)
