"""Which files of tests run which functions: `pytest -p bench.mutants.reach`, kept for each file of tests.

Before each file of tests what is remembered (`functools.cache`, stored simulations) is forgotten, so that it runs by
itself all that it needs. Compiled kernels are not seen.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from bench.mutants.tracing import PACKAGES, ROOT, SEEN, functions, parts_of, trace


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def cpu_s() -> float:
    """Of this process and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def record_of(folder: Path, test: str) -> Path:
    """Where the record of one file of tests lies."""
    return folder / f"{test.replace('/', '.')}.json"


class _Recorder:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.test = ""
        self.began = 0.0
        self.failed = False

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        test = item.path.relative_to(ROOT).as_posix()
        if test != self.test:
            self.finish()
            self.test, self.began, self.failed = test, cpu_s(), False
            os.environ["MUTANTS_TEST"] = test
            _forget()
            SEEN.clear()
        trace()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def pytest_sessionfinish(self) -> None:
        self.finish()

    def finish(self) -> None:
        if not self.test or self.failed:
            return
        place, seconds = record_of(self.folder, self.test), cpu_s() - self.began
        found = set(functions())
        for part in sorted(parts_of(self.folder, self.test).glob("*.txt")):
            found |= set(part.read_text("utf-8").split("\n")) - {""}
            part.unlink()
        told = {"digest": digest(ROOT / self.test), "seconds": round(seconds, 2), "functions": sorted(found)}
        waiting = place.with_suffix(f".{os.getpid()}")
        waiting.write_text(json.dumps(told), encoding="utf-8")
        waiting.replace(place)


def _forget() -> None:
    for each in gc.get_objects():
        if type(each) is functools._lru_cache_wrapper and str(each.__module__).partition(".")[0] in PACKAGES:
            each.cache_clear()
    store = sys.modules.get("simulator.simulate.store")
    if store is not None:
        store.FOLDER = Path(tempfile.mkdtemp(prefix="reach-"))  # type: ignore[attr-defined]


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(os.environ["MUTANTS_REACH"])
    folder.mkdir(parents=True, exist_ok=True)
    if not (
        hasattr(config.option, "numprocesses")
        and config.option.numprocesses
        and "PYTEST_XDIST_WORKER" not in os.environ
    ):
        config.pluginmanager.register(_Recorder(folder))
