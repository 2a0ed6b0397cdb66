"""Compiled kernels on disk: each is compiled by one process, and what is there is loaded without waiting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from simulator.fleet import loop
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCRIPT = """
import json, sys

from simulator.jit import entry

@entry
def twice(x):
    return 2 * x

print(twice(json.loads(sys.argv[1])), sum(twice.stats.cache_hits.values()))
"""
HANGS_S = 120.0
SMALL = Path(__file__).resolve().parents[1] / "data/scenarios/small.yaml"


def started(folder: Path, what: str) -> subprocess.Popen[str]:
    script = folder / "script.py"
    if not script.exists():
        script.write_text(SCRIPT)
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("NUMBA_DISABLE_JIT", None)
    return subprocess.Popen(
        [sys.executable, str(script), what], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def answer(process: subprocess.Popen[str]) -> tuple[str, int]:
    printed, _ = process.communicate(timeout=HANGS_S)
    value, hits = printed.split()
    return value, int(hits)


def locks(folder: Path) -> list[FileLock]:
    """Of the signatures that have been compiled."""
    return [FileLock(path) for path in folder.rglob("twice-*.lock")]


@pytest.mark.exhaustive
def test_a_process_waits_for_whoever_compiles_the_same_and_for_nobody_else(tmp_path: Path) -> None:
    assert answer(started(tmp_path, "21")) == ("42", 0)
    (compiles_integers,) = locks(tmp_path)
    with compiles_integers:
        assert answer(started(tmp_path, "4")) == ("8", 1)
        assert answer(started(tmp_path, "0.25")) == ("0.5", 0)
    for path in tmp_path.rglob("*.nb?"):
        path.unlink()
    with compiles_integers:
        other = started(tmp_path, "5")
        with pytest.raises(subprocess.TimeoutExpired):
            other.communicate(timeout=6.0)
    assert answer(other) == ("10", 0)


@pytest.mark.exhaustive
def test_whoever_waits_for_the_compiler_is_told_once(tmp_path: Path) -> None:
    told = [started(tmp_path, "21").communicate(timeout=HANGS_S)[1] for _ in range(2)]
    assert told[0].count("compiling kernels") == told[0].count("\n") == 1
    assert told[1] == ""


def test_processes_that_compile_the_same_at_once_compile_it_once(tmp_path: Path) -> None:
    found = [answer(process) for process in [started(tmp_path, "21") for _ in range(2)]]
    assert [value for value, _ in found] == ["42", "42"]
    assert sum(hits for _, hits in found) == 1


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_files_that_were_cut_are_compiled_anew(tmp_path: Path, ending: str) -> None:
    assert answer(started(tmp_path, "21")) == ("42", 0)
    (cut,) = tmp_path.rglob(f"*.{ending}")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2] if ending == "nbc" else b"")
    assert [answer(started(tmp_path, "21")) for _ in range(2)] == [("42", 0), ("42", 1)]


def test_a_full_disk_is_told_with_the_folder_of_the_cache(tmp_path: Path) -> None:
    """A file of more bytes than are allowed fails as one on a full disk does: where it is written, without its name."""
    script = tmp_path / "script.py"
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
    script.write_text(limit + SCRIPT)
    _, told = started(tmp_path, "21").communicate(timeout=HANGS_S)
    assert told.splitlines()[-1].startswith("OSError: [Errno 27] File too large: ")
    assert f"{tmp_path}/cache/servecast/jit-" in told.splitlines()[-1]
    assert not [*tmp_path.rglob("*.tmp.*")]


def test_times_are_floats_whatever_a_scenario_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A whole number would be another type, for which the whole fleet is compiled once more."""
    real, kinds = loop.advance, set()

    def advance(fleet: Any, engines: Any, until_s: float) -> Any:
        kinds.add(type(until_s))
        return real(fleet, engines, until_s)

    monkeypatch.setattr(loop, "advance", advance)
    simulate(load_scenario(SMALL, sets=["run.horizon_s=20", "run.warmup_s=0", "run.replications=1"]), tmp_path)
    assert kinds == {float}
