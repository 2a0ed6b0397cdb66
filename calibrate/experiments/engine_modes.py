"""Modes in which an engine on paper can be drawn, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.errors import InputError, Problem, unknown_name

FLIGHT = ("async", "pipeline")
RARE_DRAFTS = ("eagle3", "p-eagle", "dspark", "pard", "medusa", "suffix", "ngram-gpu")
DRAFTS = ("ngram", "eagle", "mtp", "mtp-modules", "draft-model", "dflash", "drafts-by-batch-size", *RARE_DRAFTS)
LAYERS = (
    *("window", "hybrid", "local-chunks", "linear", "linear-prefix", "hybrid-off"),
    *("linear-connected", "linear-prefix-connected", "linear-windows", "two-lengths"),
)
CONNECTORS = ("nixl-decode", "nixl-prefill", "store", "offload")
LIMITS = (
    "priority",
    "chunking-off",
    "long-prefill",
    "adaptive-prefill",
    "active-seqs",
    "scheduled-tokens",
    "watermark",
    "late-arrivals",
    "saved-states",
)
WORK = ("encoder", "lora", "grammar", "abort", "reset", "salt", "parallel-sampling", "stop", "many-samples")
RANKS = ("data-parallel", "prefill-interval", "ranks-connected")
MODES = (*FLIGHT, *DRAFTS, *LAYERS, *CONNECTORS, *LIMITS, *WORK, *RANKS)
"""All modes, by the name that `--modes` takes."""
PLAIN = "plain"
ALL = "all"
_NAMED_ONLY = (
    *("offload", "many-samples", "linear-connected", "linear-prefix-connected", "linear-windows", "two-lengths"),
    *("ranks-connected", "late-arrivals", "saved-states"),
    *RARE_DRAFTS,
)
"""Modes that `all` leaves out, so that a seed draws the engines that it drew before they were known."""

_ONE_OF = (DRAFTS, LAYERS, CONNECTORS, ("long-prefill", "adaptive-prefill"), RANKS)
_EXCLUDES = (
    # events are of one engine; a seed of before draws the engines that it drew then: ranks with transfers have a name
    ("data-parallel", ("pipeline", "abort", "reset", *CONNECTORS, "encoder", "grammar", "parallel-sampling")),
    # recordings of ranks end with their requests, before blocks that stay behind have been sent
    ("ranks-connected", ("pipeline", "abort", "reset", "nixl-prefill", "offload", "encoder", "grammar")),
    ("ranks-connected", ("parallel-sampling", "many-samples")),
    # a table by batch size is turned off with data parallelism
    ("drafts-by-batch-size", RANKS),
    # the prefix cache of linear attention needs chunked prefill, and pictures that may be cut
    ("linear-prefix", ("chunking-off",)),
    # a reset of running requests is refused while KV is on its way
    ("reset", ("nixl-decode", "store")),
    # its blocks wait for the transfer; nothing that ends early is sent
    ("nixl-prefill", ("stop", "abort", "reset", *DRAFTS)),
    # a seed of before draws the engines that it drew then: beside connectors linear attention has a name of its own
    ("linear", CONNECTORS),
    ("linear-connected", ("offload",)),
    ("linear-prefix-connected", ("offload", "chunking-off")),
    ("linear-windows", ("offload", "chunking-off")),
    ("many-samples", ("parallel-sampling", "data-parallel")),
    ("linear-prefix", tuple(name for name in CONNECTORS if name != "offload")),
)
_AT_EDGES = {"reset": ("nixl-decode", "store"), "nixl-prefill": ("stop", "abort", "reset", *DRAFTS)}
"""What excludes each other above, and vLLM survives; a seed of before draws the engines that it drew then."""
_MEAN_MODES, _MEAN_AT_EDGES = 3.0, 6.0


def parse_modes(text: str) -> tuple[str, ...]:
    """Modes that `--modes` names, separated by commas; `all` for all that need no name, or `plain` for none.

    Raises
    ------
    InputError : a name that is no mode, with the nearest one
    """
    if text == PLAIN:
        return ()
    names = {name.strip() for name in text.split(",")}
    known = (*MODES, ALL, PLAIN)
    problems = [
        Problem(unknown_name("mode", name, known), path="--modes", got=name) for name in sorted(names - {*MODES, ALL})
    ]
    if problems:
        raise InputError(*problems)
    return tuple(name for name in MODES if name in names or (ALL in names and name not in _NAMED_ONLY))


def draw_modes(draw: np.random.Generator, allowed: Sequence[str], edges: bool = False) -> tuple[str, ...]:
    """A random combination of at least one mode that is allowed, none of which excludes another.

    Parameters
    ----------
    edges : more modes at once, in all combinations that vLLM survives
    """
    many = min(len(allowed), max(1, int(draw.poisson(_MEAN_AT_EDGES if edges else _MEAN_MODES))))
    chosen: list[str] = []
    for name in draw.permutation(np.array(allowed, dtype=object)).tolist():
        if len(chosen) == many:
            break
        if all(fit_together(name, other, edges) for other in chosen):
            chosen.append(name)
    return tuple(name for name in MODES if name in chosen)


def fit_together(one: str, other: str, edges: bool = False) -> bool:
    """Whether an engine can be in both modes."""
    if edges and (other in _AT_EDGES.get(one, ()) or one in _AT_EDGES.get(other, ())):
        return True
    if any(one in family and other in family for family in _ONE_OF):
        return False
    return not any(
        (one == name and other in excluded) or (other == name and one in excluded) for name, excluded in _EXCLUDES
    )
