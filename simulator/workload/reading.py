"""How a trace file is to be read, and how it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECONDS_PER_UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a user says of a trace file; what is None, or empty, the file tells.

    Attributes
    ----------
    format : `azure`, `mooncake`, `burstgpt`, `table` (servecast's own), or `auto` to go by the columns
    columns : pairs of a column of servecast's own format and what the file calls it
    time_unit : of numbers that are times, a key of `SECONDS_PER_UNIT`
    hash_block_tokens : tokens that one entry of `hash_ids` stands for
    leaves_out_failures : rows without an output token are counted and left out, instead of refused
    leave_out : labels of the `class` column whose rows are left out
    turns : rows of one session wait for the answer before them
    think_s : pause of each turn after that answer where the file does not say it
    prompts_grow : prompts of one session repeat what was said before, though none waits for an answer
    guesses : a table whose columns match no format is read by the columns that it likely means
    """

    format: str = "auto"
    columns: tuple[tuple[str, str], ...] = ()
    time_unit: str | None = None
    hash_block_tokens: int | None = None
    leaves_out_failures: bool = False
    leave_out: tuple[str, ...] = ()
    turns: bool = False
    think_s: float | None = None
    prompts_grow: bool = False
    guesses: bool = False


AS_IT_SAYS = Reading()
"""All is told by the file."""


@dataclass(frozen=True, slots=True)
class WasRead:
    """How a file was read.

    Attributes
    ----------
    format, time_unit : as in `Reading`; the unit is `date` where times are dates
    hash_block_tokens : None where the file has no hashes
    failures, left_out : rows that were left out, for want of output and by their label
    out_of_order : rows earlier than the one before them in the file; rows are sorted
    columns : pairs as in `Reading` that were guessed, or could have been
    cached_share : of the prompts' tokens, found in a cache by whoever wrote the file; None where it does not say it
    """

    format: str
    time_unit: str
    hash_block_tokens: int | None
    failures: int
    left_out: int
    out_of_order: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    cached_share: float | None = None


def rows_left_out(read: Mapping[str, Any]) -> dict[str, int]:
    """How many rows of a file nobody serves, by why; `read` are the fields of its `WasRead`."""
    whys = {"no output token": read["failures"], "labels in leave_out_classes": read["left_out"]}
    return {why: count for why, count in whys.items() if count}
