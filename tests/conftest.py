"""Lets tests share the modules of this folder, as `bill_cases` and `engine_cases`; two parts; profiles of properties.

`--part quick` is what `make test` runs: all but tests marked `exhaustive`, and a fifth of the examples of properties.
`--part exhaustive` is what it leaves out: those tests, and the properties with all their examples. Without it all run.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import numba
import pytest
from hypothesis import HealthCheck, settings

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", anywhere, derandomize=True)
settings.register_profile("new examples", anywhere)
settings.load_profile("same examples")

FEWEST_EXAMPLES = 10
SETTINGS = "_hypothesis_internal_use_settings"
"""Where Hypothesis keeps what a property was given; it offers no other way to change it from outside."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", choices=["all", "quick", "exhaustive"], default="all", help="see tests/conftest.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    part = config.getoption("part")
    if part == "all":
        return
    cut = {}
    for function in {getattr(item, "function", None) for item in items}:
        asked = getattr(function, SETTINGS, None)
        fewer = max(asked.max_examples // (25 if numba.config.DISABLE_JIT else 5), FEWEST_EXAMPLES) if asked else 0
        if asked and fewer < asked.max_examples:
            cut[function] = settings(asked, max_examples=fewer)
    chosen, left_out = [], []
    for item in items:
        costly = item.get_closest_marker("exhaustive") is not None
        runs = not costly if part == "quick" else costly or getattr(item, "function", None) in cut
        (chosen if runs else left_out).append(item)
    if part == "quick":
        for function, fewer_examples in cut.items():
            setattr(function, SETTINGS, fewer_examples)
    config.hook.pytest_deselected(items=left_out)
    items[:] = chosen


@pytest.fixture(autouse=True, scope="session")
def no_stored_simulations(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Tests look up nothing that another program has simulated; workers share what the tests have."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        folder = (own if worker_id == "master" else own.parent) / "trials"
        patch.setattr(import_module("simulator.simulate.store"), "FOLDER", folder)
        yield
