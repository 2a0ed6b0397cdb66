"""What the servers of a site draw: GPUs of replicas as simulated, the others idle, and hosts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.use import Use
from simulator.study.terms import OwnedSite


@dataclass(frozen=True, slots=True)
class Draw:
    """Of a month, by hour of day, shape (24,), without PUE.

    Attributes
    ----------
    gpu_kwh : of GPUs in replicas that are up
    free_gpu_hours : of the other GPUs of servers that are on
    server_hours : of servers that are on
    """

    gpu_kwh: NDArray[np.float64]
    free_gpu_hours: NDArray[np.float64]
    server_hours: NDArray[np.float64]


def site_draw(site: OwnedSite, index: int, use: Use, bought: int, zone: str) -> Draw:
    """What a site draws in a month, by the hours of a time zone.

    All servers that are bought are on, empty ones and spares too, but for machines under repair; with `off_when_empty`
    only those with a replica that is up. Simulated places may stand on more machines than are bought, where one that
    failed has been given up for another: those with a replica are on.

    Parameters
    ----------
    index : of the site in the terms
    bought : servers that stand there
    """
    hours = use.sites[index].hours[zone]
    on = hours.running
    if not site.off_when_empty:
        on = np.maximum(bought * hours.on - hours.down, hours.running)
    kwh = [use.pools[name].gpu_kwh[zone] for name in site.pools if name in use.pools]
    free = np.maximum(site.server.gpus * on - hours.held_gpus, 0.0)
    return Draw(np.sum([np.zeros(on.shape), *kwh], axis=0), free, on)
