"""Recording an engine on paper as a command of the driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrate.driver.mock.ranks import record_ranks
from calibrate.driver.mock.session import record_core


def record(
    engine: dict[str, Any], requests: Sequence[dict[str, Any]], events: Sequence[dict[str, Any]], model: str
) -> dict[str, Any]:
    """Record one engine, or its data-parallel ranks.

    Raises
    ------
    ValueError : vLLM refuses the engine
    TimeoutError : the engine stands still
    """
    ranks = engine.get("data_parallel_size", 1)
    if ranks > 1:
        return record_ranks(engine, requests, ranks, model)
    return record_core(engine, requests, events, model)
