"""Links between GPUs and the memory of their hosts."""

from __future__ import annotations

from functools import lru_cache

from simulator.catalog.quantity import Entry, Quantity, read_yaml


class HostLinks(Entry):
    """Peaks in one direction, the share of them that copies reach, and how the memory of the host is cut.

    Attributes
    ----------
    alignment : chunks of KV blocks in that memory begin at its multiples
    gpus : by name; a GPU that shares the memory of its processor has none
    """

    share: Quantity
    alignment: Quantity
    gpus: dict[str, Quantity]


@lru_cache
def host_links() -> HostLinks:
    """The catalog's figures."""
    return HostLinks.model_validate(read_yaml("host_links.yaml"))
