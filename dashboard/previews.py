"""What-ifs in warm processes: kernels are loaded once, and no user waits for another's script."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboard import processes
from dashboard.page_turns import TURNS
from dashboard.workspace import within
from simulator.errors import InputError, Problem
from simulator.run.excerpt import Excerpt, excerpt_of
from simulator.run.sizes_by_month import found_by_month
from simulator.run.what_if import Kept
from simulator.scenario.load import LoadedScenario

PREVIEW_REQUESTS = 350_000
"""Simulated requests on each side, over all topologies and months: one to two seconds."""
_MORE_BY_MONTH = 3
"""Times as many where sizes change over the months: each is simulated with the loads of its own."""
_WAIT_S = 180.0
"""For an answer; what is loaded or compiled before it is not counted."""
_KEPT = 512
"""Answers, of all visitors."""
_ALONE = threading.Lock()
_ANSWERS: OrderedDict[tuple[str, str, tuple[str, ...]], str] = OrderedDict()


def pool() -> processes.Pool:
    """As many processes as cores but one, started by the first call."""
    return processes.pool("dashboard.preview_worker", processes.spare_cores(4))


def kept_of(loaded: LoadedScenario, decision: Mapping[str, Any]) -> tuple[Excerpt, Kept]:
    """What of a run is simulated here, and at which sizes.

    Parameters
    ----------
    loaded, decision : of the run

    Raises
    ------
    InputError : as `excerpt_of`
    """
    sizes = found_by_month(loaded, decision)
    most = PREVIEW_REQUESTS * (_MORE_BY_MONTH if sizes else 1)
    return excerpt_of(loaded, most, sizes), Kept(loaded, sizes)


def preview(
    folder: Path, stamp: str, sets: tuple[str, ...], visitor: str = "", tell: processes.Tell = processes.tell_nobody
) -> dict[str, Any]:
    """What the run in `folder` gives with values set, beside itself: see `preview_worker.Previewer.answer`.

    Parameters
    ----------
    stamp : of the run's files
    visitor : who asks; visitors take turns
    tell : is told what the process does before it can answer; what it raises is raised once the answer is kept

    Raises
    ------
    InputError : values that make no valid scenario, or the process was killed or took too long
    """
    key = str(folder), stamp, sets
    with _ALONE:
        if key in _ANSWERS:
            _ANSWERS.move_to_end(key)
            return dict(json.loads(_ANSWERS[key]))
    gone: list[BaseException] = []

    def tell_or_go_on(doing: str) -> None:
        """A page that is left ends in what it shows next; the process goes on, as what it compiles is for all."""
        try:
            if not gone:
                tell(doing)
        except BaseException as error:
            gone.append(error)

    with TURNS.aside():
        asked = {"folder": str(folder), "stamp": stamp, "sets": list(sets)}
        found = pool().ask(asked, _WAIT_S, visitor, tell_or_go_on)
    if found is not None and "problems" not in found:
        with _ALONE:
            _ANSWERS[key] = json.dumps(found)
            while len(_ANSWERS) > _KEPT:
                _ANSWERS.popitem(last=False)
    if gone:
        raise gone[0]
    if found is None:
        raise InputError(f"no answer within {_WAIT_S:g} s, or the process was killed; run it in full instead")
    if "problems" in found:
        raise InputError(*(within(folder, Problem(**problem)) for problem in found["problems"]))
    return found
