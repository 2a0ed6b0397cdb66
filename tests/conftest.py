"""Lets tests share the modules of this folder, as `bill_cases` and `engine_cases`; two parts; profiles of properties.

`--part quick` is what `make test` runs: all but tests marked `exhaustive`, and a fifth of the examples of properties.
`--part exhaustive` is what it leaves out: those tests, and the properties with all their examples. Without it all run.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings
from parts import chosen

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", anywhere, derandomize=True)
settings.register_profile("new examples", anywhere)
settings.load_profile("same examples")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", choices=["all", "quick", "exhaustive"], default="all", help="see tests/conftest.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("part")
    if part == "all":
        return
    found = chosen(items, part)
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
