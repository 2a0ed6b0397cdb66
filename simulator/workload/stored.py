"""Beginnings of prompts that a store of KV caches has: those of the requests before, with their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests


@dataclass
class Store:
    """Everything that requests had so far, of any age.

    Attributes
    ----------
    tokens : most tokens that anybody had of a piece of content, by the hash of it and of all before it. As in a cache
        of blocks, equal hashes (64 bits) are equal beginnings
    """

    tokens: dict[int, int] = field(default_factory=dict)

    def beginnings(self, block: Requests) -> NDArray[np.int32]:
        """Tokens of each prompt's beginning that the requests before it had; those of the block are added, in order.

        Only what others can have counts: the listed content, and an answer that goes on with its last piece.
        """
        found = np.zeros(len(block), np.int32)
        names, tokens, starts = block.segment_id.tolist(), block.segment_tokens.tolist(), block.segment_start.tolist()
        answers = np.where(block.output_continues, block.osl, 0).tolist()
        for k, (first, end) in enumerate(pairwise(starts)):
            before, same, stored = 0, True, 0
            for at in range(first, end):
                piece, had = hash((before, names[at])), tokens[at]
                has = self.tokens.get(piece, 0)
                if same:
                    stored += min(has, had)
                    same = has >= had
                self.tokens[piece] = max(has, had + (answers[k] if at == end - 1 else 0))
                before = hash((piece, had))
            found[k] = stored
        return found
