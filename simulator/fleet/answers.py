"""Answers of token APIs, as they are paid for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Escalation, Status
from simulator.study.fleet import FleetSpec


def provider_answers(records: NDArray[Any], spec: FleetSpec, until_s: float) -> NDArray[Any]:
    """Records of the answers that token APIs have given by `until_s`: all of them are paid for.

    These are requests that an API completed and, where it is the first target of a cascade, once more those that were
    sent on: its whole answer was thrown away.
    """
    served = records[records["target"] >= len(spec.pools)]
    completed = served[(served["status"] == Status.COMPLETED) & (served["finish_s"] <= until_s)]
    if spec.routing.cascade is None or spec.routing.order[0] < len(spec.pools):
        return completed
    first = records[(records["escalated"] == Escalation.ESCALATED) & (records["checked_s"] <= until_s)].copy()
    first["status"] = Status.COMPLETED
    first["target"] = spec.routing.order[0]
    first["generated"] = first["osl"]
    first["cached_tokens"] = 0
    first["finish_s"] = first["checked_s"]
    return np.concatenate([completed, first])
