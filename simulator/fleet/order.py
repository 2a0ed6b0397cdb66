"""What a simulation in canonical order left behind, in the order of whoever asked for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from simulator.fleet.simulate import FleetRun


class Order:
    """Numbers of targets and replicas that a canonical fleet has, and those of the fleet as it was given.

    Parameters
    ----------
    targets : by canonical target (pools first, then providers), its given number
    places : replicas that can be there, by canonical pool
    """

    def __init__(self, targets: tuple[int, ...], places: tuple[int, ...]) -> None:
        self._targets = np.array([*targets, -1], np.int32)
        n = len(places)
        self._pools, self._providers = targets[:n], tuple(k - n for k in targets[n:])
        given_first = np.zeros(n + 1, np.int64)
        for pool, size in zip(self._pools, places, strict=True):
            given_first[pool + 1] = size
        firsts = np.cumsum(given_first)
        numbers = [firsts[pool] + np.arange(size) for pool, size in zip(self._pools, places, strict=True)]
        self._replicas = np.concatenate([*numbers, [-1]]).astype(np.int32)
        self.is_given = targets == tuple(range(len(targets)))

    def records(self, records: NDArray[Any]) -> NDArray[Any]:
        """Records of ended requests (dtype RECORD), changed in place."""
        if not self.is_given:
            for name in ("target", "prefill_target"):
                records[name] = self._targets[records[name]]
            records["replica"] = self._replicas[records["replica"]]
        return records

    def run(self, run: FleetRun) -> FleetRun:
        if self.is_given:
            return run
        events = run.events.copy()
        events["target"] = self._targets[events["target"]]
        events["replica"] = self._replicas[events["replica"]]
        events = events[np.lexsort([events["replica"], events["kind"], events["target"], events["start_s"]])]
        samples = run.samples | {"pool": self._targets[run.samples["pool"]].astype(np.int64)}
        by_time = np.lexsort([samples["pool"], samples["time_s"]])
        usage = replace(
            run.usage,
            pools=_given(run.usage.pools, self._pools),
            providers=_given(run.usage.providers, self._providers),
        )
        usage = replace(usage, pools=tuple(self._pool(pool) for pool in usage.pools))
        return replace(
            run,
            usage=usage,
            samples={name: column[by_time] for name, column in samples.items()},
            balances=_given(run.balances, self._pools),
            events=events,
        )

    def _pool(self, pool: Any) -> Any:
        return replace(
            pool, stays=tuple(replace(stay, replica=int(self._replicas[stay.replica])) for stay in pool.stays)
        )


def _given(rows: tuple[Any, ...], numbers: tuple[int, ...]) -> tuple[Any, ...]:
    found = dict(zip(numbers, rows, strict=True))
    return tuple(found[k] for k in range(len(rows)))
