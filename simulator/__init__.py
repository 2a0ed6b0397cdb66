"""servecast: forecasts LLM serving before anyone buys a GPU. The public API; everything is loaded on first use."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.errors import InputError as InputError
    from simulator.errors import InvariantError as InvariantError
    from simulator.errors import Problem as Problem
    from simulator.errors import ServecastError as ServecastError
    from simulator.plan.month import PlanMonth as PlanMonth
    from simulator.plan.options import PlanOptions as PlanOptions
    from simulator.plan.plan import Plan as Plan
    from simulator.plan.plan import plan_fleet as plan_fleet
    from simulator.report.by_name import chart as chart
    from simulator.results.bundle import Bundle as Bundle
    from simulator.results.bundle import read_bundle as read_bundle
    from simulator.run.budget import Budget as Budget
    from simulator.run.simulate import Run as Run
    from simulator.run.simulate import simulate as simulate
    from simulator.scenario.document import Document as Document
    from simulator.scenario.document import Origin as Origin
    from simulator.scenario.load import LoadedScenario as LoadedScenario
    from simulator.scenario.load import load_scenario as load_scenario
    from simulator.schema.scenario import Scenario as Scenario
    from simulator.schema.study import Event as Event
    from simulator.simulate.store import Store as Store
    from simulator.size.found import Limits as Limits

_EXPORTS = {
    "Budget": "simulator.run.budget",
    "Bundle": "simulator.results.bundle",
    "Document": "simulator.scenario.document",
    "Event": "simulator.schema.study",
    "InputError": "simulator.errors",
    "InvariantError": "simulator.errors",
    "Limits": "simulator.size.found",
    "LoadedScenario": "simulator.scenario.load",
    "Origin": "simulator.scenario.document",
    "Plan": "simulator.plan.plan",
    "PlanMonth": "simulator.plan.month",
    "PlanOptions": "simulator.plan.options",
    "Problem": "simulator.errors",
    "Run": "simulator.run.simulate",
    "Scenario": "simulator.schema.scenario",
    "ServecastError": "simulator.errors",
    "Store": "simulator.simulate.store",
    "chart": "simulator.report.by_name",
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


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps public names: importing the room `simulator.simulate` would bind its module over the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _EXPORTS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
