"""Kinds of servers as they are bought: 1 to 72 GPUs, price, power."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from simulator.catalog.costs import quantities
from simulator.catalog.gpus import gpu
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name


class ServerKind(Entry):
    """A server, a workstation or a rack that is bought as one.

    Attributes
    ----------
    gpu, gpus : card by catalog name, and how many
    capex : USD, with its GPUs
    nameplate : kW that have to be reserved for it
    host : kW that it draws on average without its GPUs
    """

    name: str
    title: str
    gpu: str
    gpus: int
    form: Literal["server", "workstation", "rack"]
    capex: Quantity
    nameplate: Quantity
    host: Quantity


@lru_cache
def server_kinds() -> dict[str, ServerKind]:
    """All kinds by name."""
    raw = read_yaml("servers.yaml")["servers"]
    return {name: ServerKind(name=name, **quantities(fields)) for name, fields in raw.items()}


def server_kind(name: str) -> ServerKind:
    """Kind called `name`, as `4xl40s`.

    Raises
    ------
    InputError : no such kind
    """
    if name.lower() not in server_kinds():
        raise InputError(unknown_name("server", name, server_kinds()))
    return server_kinds()[name.lower()]


def servers_of(gpu_name: str) -> tuple[ServerKind, ...]:
    """Kinds with the GPU called `gpu_name`, in the order of the catalog: the usual one first; may be none."""
    name = gpu(gpu_name).name
    return tuple(kind for kind in server_kinds().values() if kind.gpu == name)


def server_of(gpu_name: str, gpus: int) -> ServerKind | None:
    """The kind with exactly so many of that GPU; None where the catalog has none."""
    return next((kind for kind in servers_of(gpu_name) if kind.gpus == gpus), None)
