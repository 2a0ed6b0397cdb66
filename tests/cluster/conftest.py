"""A Ray cluster of two machines, as far as Ray can tell: two nodes with processes of their own, on loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from simulator.cluster import QUIET

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


def ports() -> dict[str, int]:
    """Free ones: a node that has to find its own gives up after 15 s on a busy machine."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in PORTS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}


@pytest.fixture(scope="session")
def machines() -> Iterator[Any]:
    """Two nodes of one core each; `add` and `remove_node` change what is there."""
    for name, value in {**QUIET, "RAY_raylet_start_wait_time_s": "120"}.items():
        os.environ.setdefault(name, value)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **ports()})
    made.add_node(num_cpus=1, **ports())
    yield made
    made.shutdown()
