"""Lets tests share the modules of this folder, as `bill_cases` and `engine_cases`; profiles of all properties."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import pytest
from hypothesis import HealthCheck, settings

anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same examples", anywhere, derandomize=True)
settings.register_profile("new examples", anywhere)
settings.load_profile("same examples")


@pytest.fixture(autouse=True, scope="session")
def no_stored_simulations(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """Tests look up nothing that another program has simulated; workers share what the tests have."""
    own = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        folder = (own if worker_id == "master" else own.parent) / "trials"
        patch.setattr(import_module("simulator.simulate.store"), "FOLDER", folder)
        yield
