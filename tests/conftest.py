"""Lets tests share the modules of this folder, as `bill_cases` and `engine_cases`; two parts; profiles of properties.

`--part quick` is what `make test` runs: all but tests marked `exhaustive`, and a fifth of the examples of properties.
`--part exhaustive` is what it leaves out: those tests, and the properties with all their examples. Without it all run.
`--share 2/6` keeps every sixth of these from the second on, and `--rarer-kernels skip` leaves out those that need rarer
kinds of kernels: CI does both, by the day of the year.

A test of the quick part that needs kernels of a rarer kind says so by a mark, or fails: `make test` would compile them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numba
import pytest
from hypothesis import HealthCheck, settings
from parts import chosen, of_share, rarer_kind

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", anywhere, derandomize=True)
settings.register_profile("new examples", anywhere)
settings.load_profile("same examples")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", choices=["all", "quick", "exhaustive"], default="all", help="see tests/conftest.py")
    parser.addoption(
        "--share", default="1/1", help="K/N: every N-th test from the K-th on, in the order of their names"
    )
    parser.addoption("--rarer-kernels", choices=["compile", "skip"], default="compile", help="see tests/conftest.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part, share = config.getoption("part"), config.getoption("share")
    if part == "all" and share == "1/1":
        return
    found = of_share(chosen(items, part), share)
    kept = set(map(id, found))
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = found


@pytest.fixture(autouse=True, scope="session")
def no_stored_simulations(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Tests look up nothing that another program has simulated; workers share what the tests have."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        folder = (own if worker_id == "master" else own.parent) / "trials"
        patch.setattr(import_module("simulator.simulate.store"), "FOLDER", folder)
        yield


RUNNING: list[pytest.Item] = []
"""The test that runs now."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    RUNNING[:] = [item]


def _skipped(kind: str) -> None:
    pytest.skip(f"needs kernels of a rarer kind ({kind})")


def _marked(kind: str) -> None:
    if not any(item.get_closest_marker("rare_kernels") for item in RUNNING):
        pytest.fail(
            f"this test needs kernels of a rarer kind ({kind}), which `make test` does not compile: mark it "
            "`rare_kernels` (interpreted there, where it is small) or `exhaustive`"
        )


@pytest.fixture(autouse=True, scope="session")
def rarer_kernels(pytestconfig: pytest.Config) -> Iterator[None]:
    """A compiled fleet whose kernels are of a rarer kind ends its test where these are to be skipped.

    In the quick part it fails the test that is not marked so.
    """
    skips = pytestconfig.getoption("rarer_kernels") == "skip"
    if numba.config.DISABLE_JIT or not (skips or pytestconfig.getoption("part") == "quick"):
        yield
        return
    place, told = import_module("simulator.fleet.dataplane"), _skipped if skips else _marked
    allocate = place.allocate_engines

    def allocated(*args: Any, **kwargs: Any) -> Any:
        engines = allocate(*args, **kwargs)
        if kind := rarer_kind(engines):
            told(kind)
        return engines

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "allocate_engines", allocated)
        yield
