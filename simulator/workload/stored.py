"""Beginnings of prompts that a store of KV caches has: those of the requests before, with their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests

PIECES = 1 << 21
"""Pieces of content that a generation has: at most 0.25 GB of memory."""


@dataclass
class Beginnings:
    """What requests had so far: everything, or at least the `pieces` pieces of content that were used last.

    Attributes
    ----------
    pieces : of which a new generation begins when it has so many; what the one before it alone had is then forgotten
    young, old : this generation and the one before it: most tokens that anybody had of a piece of content, by the hash
        of it and of all before it. As in a cache of blocks, equal hashes (64 bits) are equal beginnings
    """

    pieces: int = PIECES
    young: dict[int, int] = field(default_factory=dict)
    old: dict[int, int] = field(default_factory=dict)

    def found(self, block: Requests) -> NDArray[np.int32]:
        """Tokens of each prompt's beginning that the requests before it had; those of the block are added, in order.

        Where an output continues its prompt's last piece, the store has it too: the next turn asks for it.
        """
        found = np.zeros(len(block), np.int32)
        names, tokens, starts = block.segment_id.tolist(), block.segment_tokens.tolist(), block.segment_start.tolist()
        answers = np.where(block.output_continues, block.osl, 0).tolist()
        for k, (first, end) in enumerate(pairwise(starts)):
            before, same, stored = 0, True, 0
            for at in range(first, end):
                piece, had = hash((before, names[at])), tokens[at]
                has = self.young.get(piece) or self.old.get(piece, 0)
                if same:
                    stored += min(has, had)
                    same = has >= had
                self.young[piece] = max(has, had + (answers[k] if at == end - 1 else 0))
                before = hash((piece, had))
            found[k] = stored
            if len(self.young) >= self.pieces:
                self.old, self.young = self.young, {}
        return found
