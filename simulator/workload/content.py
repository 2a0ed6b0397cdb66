"""What requests hold: lengths and shared prefixes for given arrival times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.rng import stream
from simulator.workload.description import Description
from simulator.workload.lengths import Sampler
from simulator.workload.prefixes import draw_prefixes, prefix_groups
from simulator.workload.requests import Requests, make_requests
from simulator.workload.spec import ClassWorkload

Tokens = NDArray[np.int32]
Segments = tuple[NDArray[np.int64], NDArray[np.int64], Tokens]
Sharing = Callable[[NDArray[np.float64], Tokens], Segments]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Where a class's token counts come from.

    Attributes
    ----------
    isl, osl : samplers of the class's own distributions; None keeps what a profile or trace gives
    description : gives both from its joint histogram, or None
    """

    isl: Sampler | None
    osl: Sampler | None
    description: Description | None = None

    def drawer(self, seed: int) -> Callable[[int, Tokens | None, Tokens | None], tuple[Tokens, Tokens]]:
        """Function (n, given isl, given osl) -> (isl, osl), from the beginning of the class's streams."""
        isl_stream, osl_stream, joint_stream = (stream(seed, part) for part in ("isl", "osl", "lengths"))

        def draw(n: int, isl: Tokens | None, osl: Tokens | None) -> tuple[Tokens, Tokens]:
            if self.description is not None:
                isl, osl = self.description.lengths.sample(joint_stream, n)
            if self.isl is not None:
                isl = self.isl(isl_stream, n)
            if self.osl is not None:
                osl = self.osl(osl_stream, n)
            if isl is None or osl is None:
                raise ValueError("neither the class nor its arrivals give lengths")
            return isl, osl

        return draw


def class_sharing(workload: ClassWorkload, description: Description | None, seed: int) -> Sharing | None:
    """Function (arrival_s, isl) -> segments, from the beginning of the class's stream; None if nothing is shared."""
    generator = stream(seed, "prefixes")
    if workload.prefixes is not None:
        groups = prefix_groups(workload.prefixes, stream(seed, "prefix_tokens"))
        return lambda _, isl: draw_prefixes(groups, generator, isl)
    if description is None or description.prefix is None:
        return None
    from simulator.workload.prefix_tree import grow, new_tree

    tree, sharing = new_tree(), description.prefix
    return lambda arrival_s, isl: grow(tree, sharing, generator, arrival_s, isl)


def fill(arrival_s: NDArray[np.float64], lengths: tuple[Tokens, Tokens], sharing: Sharing | None) -> Requests:
    """Requests with these times and lengths, and the segments that they share."""
    isl, osl = lengths
    if sharing is None:
        return make_requests(arrival_s, isl, osl)
    segment_start, segment_id, segment_tokens = sharing(arrival_s, isl)
    return make_requests(
        arrival_s, isl, osl, segment_start=segment_start, segment_id=segment_id, segment_tokens=segment_tokens
    )
