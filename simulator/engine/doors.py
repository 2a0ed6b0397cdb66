"""Questions that a mode answers in compiled code: which answer is compiled in follows from the type of its arrays.

An engine without the mode has `NoFlight()` in `Engines.flight`: its kernels hold neither the mode's code nor a branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from simulator.engine.modes.flight.arrays import Flight
from simulator.jit import OPTIONS


def door(plain: Any, flight: Any) -> Callable[..., Any]:
    """A kernel that is `plain` for engines without plans in flight, else `flight`; both take the engines first."""

    def ask(engines: Any, *args: Any) -> Any:
        return (flight if isinstance(engines.flight, Flight) else plain)(engines, *args)

    def choose(engines: Any, *_args: Any) -> Any:
        kind = engines.types[engines.fields.index("flight")].instance_class
        return (flight if kind is Flight else plain).py_func

    ask.__name__ = choose.__name__ = plain.__name__
    overload(ask, strict=False, jit_options=OPTIONS)(choose)
    return ask
