"""Warnings of a run, told apart by what they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Kind = Literal["load", "size", "trust", "basis"]
"""`load`: more was offered than is served, so the figures depend on the length of the run. `size`: how the
size was found, or one that would cost less. `trust`: step times that
were not measured, or not for these limits or drafts. `basis`: what else the figures rest on."""

KINDS: tuple[Kind, ...] = get_args(Kind)


_APART = 0.01


def turns_apart(arrived: Iterable[int]) -> list[str]:
    """A warning where topologies were sent different numbers of requests: sessions and waiting users follow answers."""
    counts = list(arrived)
    if not counts or max(counts) <= (1 + _APART) * min(counts):
        return []
    return [
        f"topologies were sent {min(counts):,} to {max(counts):,} requests, as sessions and waiting users go on when "
        "they are answered: compare $ per 1M tokens rather than $ per month"
    ]


def remarks(kind: Kind, texts: Iterable[str]) -> list[dict[str, str]]:
    """Warnings as a summary holds them: `kind` and `text`."""
    return [{"kind": kind, "text": text} for text in texts]
