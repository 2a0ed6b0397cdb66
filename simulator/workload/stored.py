"""Beginnings of prompts that a store of KV caches has: those of the requests before, with their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.workload.requests import Requests

_Place = tuple[int, int]
"""What stands before a piece of content, as a number, and the piece."""


@dataclass
class Store:
    """Everything that requests had so far, of any age."""

    tokens: dict[_Place, int] = field(default_factory=dict)
    numbers: dict[tuple[_Place, int], int] = field(default_factory=dict)

    def beginnings(self, block: Requests) -> NDArray[np.int32]:
        """Tokens of each prompt's beginning that the requests before it had; those of the block are added, in order.

        Only what others can have counts: the listed content, and an answer that goes on with its last piece.
        """
        found = np.zeros(len(block), np.int32)
        names, tokens, starts = block.segment_id.tolist(), block.segment_tokens.tolist(), block.segment_start.tolist()
        for k, (first, end) in enumerate(pairwise(starts)):
            before, same, stored = 0, True, 0
            for at in range(first, end):
                place = (before, names[at])
                has = self.tokens.get(place, 0)
                if same:
                    stored += min(has, tokens[at])
                    same = has >= tokens[at]
                whole = at == end - 1 and block.output_continues[k]
                self.tokens[place] = max(has, tokens[at] + (int(block.osl[k]) if whole else 0))
                before = self.numbers.setdefault((place, tokens[at]), len(self.numbers) + 1)
            found[k] = stored
        return found
