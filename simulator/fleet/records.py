"""The record of one request that has ended: what the data plane hands out and metrics, cost and bundles read."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Status(IntEnum):
    """How a request ended. Exactly one applies, and the counts add up to the arrivals."""

    COMPLETED = 0
    REJECTED = 1
    """Never admitted: too long for the model, no allowed target, a full queue, a provider's rate limit."""
    FAILED = 2
    """Lost with its replica or token API after it had begun to stream, or after the last retry; no provider up."""
    TIMED_OUT = 3
    """No first token before its class's timeout, or its client left."""
    UNFINISHED = 4
    """Still in the system when the run ended."""


class Escalation(IntEnum):
    """What a cascade's check of the first model's answer led to."""

    NONE = 0
    """The answer was kept, or there was no cascade."""
    ESCALATED = 1
    """The request was sent on to the second target."""
    DENIED = 2
    """It should have been, but the second target may not or cannot take it: the first answer was kept."""


class Reason(IntEnum):
    """Why a request was not completed."""

    NONE = 0
    TOO_LONG = 1
    """No target that its data may go to can hold it."""
    DATA_CLASS = 2
    """Its data may go to no target."""
    NO_TARGET = 3
    """None of the targets that could serve it is open: by the hour, by its complexity."""
    RATE_LIMIT = 4
    """A token API refused it."""
    QUEUE_FULL = 5
    """As many requests as may wait at its replica did."""
    OUTAGE = 6
    """The token API was down, or went down."""
    ERROR = 7
    """The token API gave an error."""
    REPLICA_LOST = 8
    LEFT = 9
    """Its client left before it had all its tokens."""


RECORD = np.dtype(
    [
        ("request", np.int64),  # number of the request in order of arrival
        ("class_id", np.int32),
        ("status", np.int32),
        ("target", np.int32),  # pools first, then providers; -1 when none was chosen
        ("replica", np.int32),  # within the fleet; -1 for providers and for none
        ("isl", np.int32),
        ("osl", np.int32),  # tokens asked for
        ("generated", np.int32),  # tokens delivered
        ("cached_tokens", np.int32),  # in the prefix cache when it was first admitted, or in an API's at its last call
        ("preemptions", np.int32),
        ("retries", np.int32),  # times it was sent again: to another replica, or to a token API
        ("overflowed", np.int32),  # 1 when it was not served by its first-choice target
        ("arrival_s", np.float64),
        ("scheduled_s", np.float64),  # first time a step took it up; NaN before
        ("first_token_s", np.float64),  # at the client; NaN before
        ("finish_s", np.float64),  # when it ended, whatever its status
        ("prefill_target", np.int32),  # pool that computed the prompt, where another than the target did; else -1
        ("prefilled_s", np.float64),  # end of the prefill there; NaN if there was none
        ("transferred_s", np.float64),  # its KV cache had arrived at the target
        ("no_replica_s", np.float64),  # time it waited before pools without a ready replica (a cold start, a repair)
        ("escalated", np.int32),  # an `Escalation`
        ("thrown_tokens", np.int32),  # put out for it and seen by nobody
        ("reason", np.int32),  # a `Reason`; of those that were not completed
        ("checked_s", np.float64),  # a cascade had checked its first answer, which nobody saw before; NaN if none
        ("unsent_turns", np.int32),  # later turns of its session that do not come since this one was not completed
    ],
    align=True,
)
"""Times are seconds since the start of the run; first_token_s includes the target's network delay."""
