"""Copies between the GPU's blocks and the memory of the CPU, and when the worker has done them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulator.engine.modes.offload.tier import Key
from simulator.engine.reference.request import Request


@dataclass(eq=False, slots=True)
class Job:
    """One copy (vLLM `TransferJob`).

    Attributes
    ----------
    keys : chunks that it reads or writes
    blocks, freed_blocks : of the GPU, that it writes or reads; those of windows may be free before the request ends
    """

    number: int
    request: Request
    is_store: bool
    keys: tuple[Key, ...]
    blocks: tuple[int, ...]
    freed_blocks: tuple[int, ...] = ()


@dataclass(slots=True)
class Orders:
    """What a plan tells the worker: copies to begin, and copies to wait for before it computes."""

    loads: list[Job] = field(default_factory=list)
    stores: list[Job] = field(default_factory=list)
    flushed: set[Job] = field(default_factory=set)


class CopyWorker:
    """The worker's side, call by call of the model (vLLM `OffloadingConnectorWorker`).

    A load begins with the call that asks for it. A store begins with the next one, after the tokens of its own were
    sampled, unless somebody needs its blocks before; then the call waits until it is done.

    Parameters
    ----------
    takes : calls from the one that began a copy to the one with whose output it is reported
    """

    def __init__(self, takes: Callable[[Job], int]) -> None:
        self._takes = takes
        self._call = -1
        self._waiting: list[Job] = []
        self._due: dict[Job, int] = {}

    def compute(self, orders: Orders) -> list[Job]:
        """One call; the copies that are reported with its output, in order of their numbers."""
        self._call += 1
        at_once = [job for job in orders.stores if job in orders.flushed]
        for job in (*self._waiting, *at_once, *orders.loads):
            self._due[job] = self._call + self._takes(job)
        self._waiting = [job for job in orders.stores if job not in orders.flushed]
        self._due.update((job, self._call) for job in orders.flushed if job in self._due)
        done = sorted((job for job, call in self._due.items() if call <= self._call), key=lambda job: job.number)
        for job in done:
            del self._due[job]
        return done
