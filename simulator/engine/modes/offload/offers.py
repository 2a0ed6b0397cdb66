"""How often chunks were offered, of those that were offered last, in compiled code; the specification is `tier`."""

from __future__ import annotations

from typing import Any

from simulator.engine.modes.offload.arrays import NONE
from simulator.engine.modes.offload.keys import chunk_key, find_named, give_name, take_name
from simulator.engine.state import Engines
from simulator.jit import kernel


@kernel
def is_wanted(engines: Engines, r: int, rules: Any, key: Any) -> bool:
    """Whether a chunk that is not there has been offered often enough."""
    if rules.threshold <= 1:
        return True
    o = _find_offer(engines, r, key)
    return o != NONE and engines.offload.offers[r, o].count >= rules.threshold


@kernel
def _find_offer(engines: Engines, r: int, key: Any) -> int:
    return find_named(engines.offload.offers[r], engines.offload.offer_buckets[r], key)


@kernel
def count_offers(engines: Engines, r: int, rep: Any, row: int, n_offered: int) -> None:
    """Count offers of chunks, of the `tracked` that were offered last."""
    offload = engines.offload
    rules, head, offered = offload.pools[rep.pool], offload.replicas[r], offload.offered
    others = head.n_offers
    for n in range(n_offered):
        o = _find_offer(engines, r, chunk_key(engines, rep, row, offered[n, 0], offered[n, 1]))
        if o != NONE:
            offload.offers[r, o].count += 1
            _unlink_offer(engines, r, o)
            _append_offer(engines, r, o)
            others -= 1
    for n in range(n_offered):
        key = chunk_key(engines, rep, row, offered[n, 0], offered[n, 1])
        if _find_offer(engines, r, key) != NONE:
            continue
        o = head.n_offers
        if o >= rules.tracked:
            if others == 0:
                continue
            o = head.offer_head
            others -= 1
            _drop_offer(engines, r, o)
        else:
            head.n_offers += 1
        give_name(offload.offers[r], offload.offer_buckets[r], o, key)
        offload.offers[r, o].count = 1
        _append_offer(engines, r, o)


@kernel
def _append_offer(engines: Engines, r: int, o: int) -> None:
    offers, head = engines.offload.offers, engines.offload.replicas[r]
    offers[r, o].before = head.offer_tail
    offers[r, o].after = NONE
    if head.offer_tail == NONE:
        head.offer_head = o
    else:
        offers[r, head.offer_tail].after = o
    head.offer_tail = o


@kernel
def _unlink_offer(engines: Engines, r: int, o: int) -> None:
    offers, head = engines.offload.offers, engines.offload.replicas[r]
    if offers[r, o].before == NONE:
        head.offer_head = offers[r, o].after
    else:
        offers[r, offers[r, o].before].after = offers[r, o].after
    if offers[r, o].after == NONE:
        head.offer_tail = offers[r, o].before
    else:
        offers[r, offers[r, o].after].before = offers[r, o].before


@kernel
def _drop_offer(engines: Engines, r: int, o: int) -> None:
    take_name(engines.offload.offers[r], engines.offload.offer_buckets[r], o)
    _unlink_offer(engines, r, o)
