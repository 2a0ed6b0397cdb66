"""Chunks of one KV cache group: which of them are offered to the memory of the CPU, and which are found there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulator.engine.modes.offload.tier import PENDING, Key
from simulator.engine.modes.spec import GroupKind
from simulator.engine.reference.groups import FullGroup
from simulator.engine.reference.request import Request

Users = Callable[[Key], int | None]
"""Loads that read a chunk, `PENDING` while it is stored; None where it is not there."""


class Chunks:
    """Blocks of a group that are copied together (vLLM `GroupOffloadConfig`).

    Parameters
    ----------
    block_tokens : tokens that one content hash covers

    Attributes
    ----------
    tokens : in a chunk
    limited : its layers stop reading tokens, so that the last chunks alone are needed
    aligned : its layers keep states, of which the last one is needed
    drafts : its layers are a drafter's, which may write the last chunk anew
    """

    def __init__(self, group: FullGroup, blocks_per_chunk: int, block_tokens: int) -> None:
        self.group, self.blocks = group, blocks_per_chunk
        self.tokens = group.size * blocks_per_chunk
        self.limited = group.spec.kind != GroupKind.FULL
        self.aligned = group.spec.aligned
        self.drafts = group.spec.has_draft_layers
        self._hashes = self.tokens // block_tokens

    def key(self, content: Sequence[int], index: int) -> Key:
        """Of the chunk with that index, by the contents of the request's blocks."""
        return (self.group.number, content[(index + 1) * self._hashes - 1])

    def keys(self, content: Sequence[int]) -> list[Key]:
        return [self.key(content, index) for index in range(len(content) // self._hashes)]

    @property
    def _read_tokens(self) -> int:
        """Tokens that a window reads, of those before the present one."""
        return self.group.spec.window_tokens - 1 + self.group.limits.reads_ahead_tokens

    @property
    def window(self) -> int:
        """Most chunks that are needed to go on."""
        if self.aligned:
            return 1
        of_window = -(-self.group.spec.window_tokens // self.tokens)
        if self.group.spec.kind == GroupKind.WINDOW:
            return max(of_window, -(-self._read_tokens // self.tokens))
        return of_window

    def window_before(self, tokens: int) -> int:
        """Last chunks that are needed to go on after so many tokens; a window may begin one chunk further left."""
        if self.group.spec.kind != GroupKind.WINDOW:
            return self.window
        return max(self.window, -(-(self._read_tokens + -tokens % self.tokens) // self.tokens))

    def find(self, keys: Sequence[Key], most: int, end: int, gives_up: bool, users: Users) -> int | None:
        """Leading chunks of `keys` up to which a request could go on; None while one of them is on its way.

        Parameters
        ----------
        most : tokens that the request may have then
        end : chunks from the beginning of the request to the end of `keys`
        gives_up : the last chunk found is given up afterwards
        """
        if not self.limited:
            return _prefix(keys, users)
        first = self.window_before(min(most, (end - gives_up) * self.tokens))
        return _suffix(keys, self.window + gives_up, first + gives_up, users)

    def storable(self, request: Request, tokens: int, n_blocks: int, ended: bool) -> int:
        """Leading chunks that may be offered: full, and not the last one that drafts may still change."""
        many = tokens // self.tokens
        if self.drafts and tokens > request.isl and not ended:
            many = max(0, many - 1)
        return min(many, n_blocks // self.blocks)

    def kept(self, request: Request, alignment: int | None) -> Callable[[int], bool]:
        """Which blocks, by index, are worth storing: of a window those before a place where a request can resume.

        These are the last one before the end of the prompt, and a junction.
        """
        size = self.group.size
        if self.group.spec.kind != GroupKind.WINDOW or alignment is None or alignment % size:
            return lambda index: True
        many, shift = -(-self._read_tokens // size) + self.drafts, int(self.drafts)
        places = [request.isl - 1, *([request.junction] if request.junction else [])]
        ends = [place // alignment * alignment // size + shift for place in places]
        return {block for end in ends for block in range(end - many, end)}.__contains__


def _prefix(keys: Sequence[Key], users: Users) -> int | None:
    """Chunks from the left until one is missing."""
    hits, pending = 0, False
    for key in keys:
        state = users(key)
        if state is None:
            break
        pending |= state == PENDING
        hits += 1
    return None if pending else hits


def _suffix(keys: Sequence[Key], needed: int, needed_first: int, users: Users) -> int | None:
    """End of the last run of so many chunks, or those that lead without a gap from the beginning.

    Parameters
    ----------
    needed_first : chunks of a run that ends with the last of `keys`
    """
    run, pending, wanted = 0, False, needed_first
    for index in range(len(keys) - 1, -1, -1):
        state = users(keys[index])
        if state is None:
            run, pending, wanted = 0, False, needed
        else:
            pending |= state == PENDING
            run += 1
        if run == wanted:
            return None if pending else index + wanted
    return None if pending else run
