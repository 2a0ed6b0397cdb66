"""The number of processes changes no byte of a bundle, and no error; however a run ends, nothing of them is left."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator import processes
from simulator.errors import InputError, InvariantError
from simulator.results.scratch import is_alive
from simulator.run import ahead
from simulator.run.loads import loads_of
from simulator.run.simulate import simulate
from simulator.run.sizer import Sizer
from simulator.simulate.store import Store
from simulator.size.found import Limits

TOPOLOGIES = (
    "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}",
    "same: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}",
    "elastic: {pools: [{name: rented, site: lambda, gpu: h100-sxm, autoscaler: auto}]}",
    "fixed: {pools: [{name: rented, site: lambda, gpu: h100-sxm, replicas: 2}]}",
)
GROWS = "months: 3, growth_per_year: 6.0"
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from simulator.run import ahead
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell's script
ahead.WORTH_FORKING = ahead.WORTH_SPAWNING = 0
place = Path(sys.argv[1])
search = ahead.Sizer.answer

def begun(*rest):
    (place / "pids" / str(os.getpid())).touch()
    while True:
        search(*rest)

ahead.Sizer.answer = begun
simulate(load_scenario(place / "scenario.yaml"), place / "out", jobs=2)
"""


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_FORKING", 0)
    monkeypatch.setattr(ahead, "WORTH_SPAWNING", 0)
    for module in (ahead, processes):  # whether a thread of an earlier test is still there is not what is tested
        monkeypatch.setattr(module, "forks", lambda: True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("keep", ["true", "false"])
def test_the_number_of_processes_changes_no_byte(tmp_path: Path, keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = chat(*TOPOLOGIES, study=GROWS, rate_rps=20, horizon_s=5, warmup_s=1, replications=2)
    loaded = written(tmp_path, text, f"run.keep_requests={keep}")
    alone = simulate(loaded, tmp_path / "1", advise=True)
    here: list[int] = []
    one = import_module("simulator.simulate.one")
    real = one.simulate_fleet

    def counted(*rest: Any, **more: Any) -> Any:
        here.append(os.getpid())
        return real(*rest, **more)

    monkeypatch.setattr(one, "simulate_fleet", counted)
    for jobs, store in ((2, Store()), (4, Store(tmp_path / "trials"))):
        found = simulate(loaded, tmp_path / str(jobs), store=store, advise=True, jobs=jobs)
        assert contents(found.bundle) == contents(alone.bundle), jobs
    assert not here, "all trials are simulated ahead, those on fresh traffic too"


def contents(bundle: Path) -> dict[str, str]:
    files = (file for file in bundle.iterdir() if file.name != "timing.json")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.exhaustive
def test_workers_that_are_copies_of_their_parent_or_none_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = _open(tmp_path)
    alone = simulate(loaded, tmp_path / "1", advise=True)
    for forks in (True, False):
        for module in (ahead, processes):
            monkeypatch.setattr(module, "forks", lambda forks=forks: forks)
        found = simulate(loaded, tmp_path / f"2{forks}", advise=True, jobs=2)
        assert contents(found.bundle) == contents(alone.bundle)


def test_all_problems_are_told_as_by_one_process(tmp_path: Path) -> None:
    odd = "replicas: auto, tensor_parallel_size: 3"
    pools = [f"{name}: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, {odd}}}]}}" for name in ("first", "second")]
    loaded = written(tmp_path, chat(TOPOLOGIES[0], *pools, study=GROWS, horizon_s=20))
    told = []
    for jobs in (1, 2):
        with pytest.raises(InputError) as caught:
            simulate(loaded, tmp_path / "out", jobs=jobs)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "first" in told[0]
    assert "second" in told[0]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of a run, in which nothing is left, nor is any process."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())
    assert not multiprocessing.active_children()
    assert not (tmp_path / "out").exists()


def _open(tmp_path: Path, **more: Any) -> Any:
    return written(tmp_path, chat(*TOPOLOGIES[:3], study="months: 1", rate_rps=20, horizon_s=5, warmup_s=1, **more))


def test_a_run_whose_worker_is_killed_says_so(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_into_store", lambda *rest: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InputError, match="a process was killed"):
        simulate(_open(tmp_path), tmp_path / "out", jobs=2)


def test_a_broken_law_in_a_worker_ends_the_run(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, loaded: object, name: str, *rest: object) -> None:
        if name != "own":
            time.sleep(600)
        raise InvariantError("more out than in")

    monkeypatch.setattr(ahead.Sizer, "answer", broken)
    with pytest.raises(InvariantError, match="more out than in"):
        simulate(_open(tmp_path), tmp_path / "out", jobs=2)


def test_the_time_of_searches_is_limited_in_workers_too(tmp_path: Path, temporary: Path) -> None:
    told = []
    for jobs in (1, 2):
        found = simulate(_open(tmp_path), tmp_path / "bundles", limits=Limits(seconds=1e-9), jobs=jobs)
        claims = {name: one["trail"]["word"] for name, one in found.decision["topologies"].items()}
        assert claims == {"own": "not finished", "same": "not finished", "elastic": "best of 1 tried"}
        told.append(found.summary["verdict"])
    assert told[0] == told[1]


def test_what_a_worker_sends_has_no_outcomes(tmp_path: Path) -> None:
    loaded = _open(tmp_path)
    found = Sizer(Store()).answer(loaded, "own", loads_of(loaded))
    assert found is not None
    assert any(tried.word == "met" for tried in found.search.trail)
    assert not any(tried.outcomes for tried in found.search.trail)
    assert any(tried is found.search.best for tried in found.search.trail)


def test_an_interrupted_run_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    _open(tmp_path)
    for name in ("pids", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "run.py").write_text(INTERRUPTED, encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path)],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 240
    while not list((tmp_path / "tmp").glob("*/trials/*.trial")):
        assert time.monotonic() < until, "did not begin"
        time.sleep(0.05)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(240) != 0
    workers = [int(file.name) for file in (tmp_path / "pids").iterdir()]
    assert workers
    assert not [pid for pid in workers if is_alive(pid)]
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "out").exists()
