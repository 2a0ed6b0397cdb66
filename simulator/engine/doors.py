"""Questions that a mode answers in compiled code: which answer is compiled in follows from the type of its arrays.

An engine without a mode has an empty type in its place (`NoFlight()` in `Engines.flight`, `OneTable()` in
`Engines.groups`, `NoRooms()` in `Engines.rooms`, `NoOffload()` in `Engines.offload`): its kernels hold neither the
mode's code nor a branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from simulator.engine.modes.flight.arrays import Flight
from simulator.engine.modes.offload.arrays import OffloadArrays
from simulator.engine.modes.rooms.arrays import Rooms
from simulator.engine.modes.tables.arrays import Groups
from simulator.jit import LINKED, OPTIONS

_ANSWER: Any = {**OPTIONS, **LINKED}
_INLINE: Any = {**_ANSWER, "forceinline": True}


def _door(plain: Any, other: Any, field: str, mode: type, inline: bool = False) -> Callable[..., Any]:
    def ask(engines: Any, *args: Any) -> Any:
        return (other if isinstance(getattr(engines, field), mode) else plain)(engines, *args)

    def choose(engines: Any, *_args: Any) -> Any:
        kind = engines.types[engines.fields.index(field)].instance_class
        return (other if kind is mode else plain).py_func

    ask.__name__ = choose.__name__ = plain.__name__
    overload(ask, strict=False, jit_options=_INLINE if inline else _ANSWER)(choose)
    return ask


def door(plain: Any, flight: Any) -> Callable[..., Any]:
    """A kernel that is `plain` for engines without plans in flight, else `flight`; both take the engines first."""
    return _door(plain, flight, "flight", Flight)


def table_door(plain: Any, groups: Any, inline: bool = False) -> Callable[..., Any]:
    """A kernel that is `plain` for engines with one block table a request, else `groups`.

    Parameters
    ----------
    inline : it is compiled into its callers
    """
    return _door(plain, groups, "groups", Groups, inline)


def room_door(plain: Any, rooms: Any, inline: bool = False) -> Callable[..., Any]:
    """A kernel that is `plain` for engines that ask nobody, else `rooms`.

    Parameters
    ----------
    inline : it is compiled into its callers
    """
    return _door(plain, rooms, "rooms", Rooms, inline)


def offload_door(plain: Any, offload: Any) -> Callable[..., Any]:
    """A kernel that is `plain` for engines that keep no blocks in the memory of the CPU, else `offload`."""
    return _door(plain, offload, "offload", OffloadArrays)
