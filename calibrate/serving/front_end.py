"""The API process in front of an engine as a queue: when the engine hears of requests that came together."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from calibrate.serving.measured import MeasuredRow
from calibrate.serving.sources import source_of
from simulator.catalog.overheads import rendering_s

Floats = NDArray[np.float64]


def service_s(row: MeasuredRow, values: Mapping[str, float] | None = None) -> float:
    """Time of the API process for each of the row's requests, 0 where the endpoint takes prompts as they are.

    Parameters
    ----------
    values : trial values by name, before the catalog's
    """
    return rendering_s(row.model, row.endpoint or source_of(row).get("endpoint", ""), values)


def heard_s(arrival_s: Floats, each_s: float) -> Floats:
    """Times at which the engine hears of requests.

    One event loop renders each request for `each_s` and, in a later turn, hands it on: behind all that had come until
    its rendering ended. So of n requests that come at once the engine hears after :math:`n\\,s` of all.

    Parameters
    ----------
    arrival_s : in order
    """
    heard = np.empty_like(arrival_s)
    turns: deque[tuple[int, bool]] = deque()
    now, come = 0.0, 0
    while come < len(arrival_s) or turns:
        if not turns:
            now = max(now, float(arrival_s[come]))
        while come < len(arrival_s) and arrival_s[come] <= now:
            turns.append((come, False))
            come += 1
        number, rendered = turns.popleft()
        if rendered:
            heard[number] = now
            continue
        now += each_s
        while come < len(arrival_s) and arrival_s[come] <= now:
            turns.append((come, False))
            come += 1
        turns.append((number, True))
    return heard
