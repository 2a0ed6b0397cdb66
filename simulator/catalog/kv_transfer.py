"""What is known of KV transfers between replicas, apart from the GPUs' links."""

from __future__ import annotations

from functools import lru_cache

from simulator.catalog.quantity import Entry, Quantity, read_yaml


class KvTransferFigures(Entry):
    """Latency of a transfer beside its bandwidth, and how long a prefill replica keeps blocks that nobody fetches."""

    latency: Quantity
    lease: Quantity


@lru_cache
def kv_transfer_figures() -> KvTransferFigures:
    """The catalog's figures."""
    return KvTransferFigures.model_validate(read_yaml("kv_transfer.yaml"))
