"""servecast: forecasts LLM serving before anyone buys a GPU. The public API; everything is loaded on first use."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.errors import InputError as InputError
    from simulator.plan.options import PlanOptions as PlanOptions
    from simulator.plan.plan import Plan as Plan
    from simulator.plan.plan import plan_fleet as plan_fleet
    from simulator.results.bundle import read_bundle as read_bundle
    from simulator.run.simulate import Run as Run
    from simulator.run.simulate import simulate as simulate
    from simulator.scenario.load import LoadedScenario as LoadedScenario
    from simulator.scenario.load import load_scenario as load_scenario
    from simulator.schema.scenario import Scenario as Scenario

_EXPORTS = {
    "InputError": "simulator.errors",
    "LoadedScenario": "simulator.scenario.load",
    "Plan": "simulator.plan.plan",
    "PlanOptions": "simulator.plan.options",
    "Run": "simulator.run.simulate",
    "Scenario": "simulator.schema.scenario",
    "load_scenario": "simulator.scenario.load",
    "plan_fleet": "simulator.plan.plan",
    "read_bundle": "simulator.results.bundle",
    "simulate": "simulator.run.simulate",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


class _Package(ModuleType):
    """Keeps public names: importing the room `simulator.simulate` would bind its module over the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _EXPORTS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
