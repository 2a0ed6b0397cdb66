"""Pictures of requests in compiled code; the specification is `reference.EncoderRoom`."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.engine.state import NONE, Engines
from simulator.jit import kernel


@kernel
def _bit(place: int) -> Any:
    return np.int64(1) << np.int64(place)


@kernel
def _picture(engines: Engines, index: int, place: int) -> Any:
    return engines.rooms.pictures[engines.rooms.slots[index].first_picture + place]


@kernel
def _find(engines: Engines, r: int, content: int) -> int:
    """Place of a picture in the cache of a replica, -1 if it is not there."""
    for k in range(engines.rooms.replicas[r].n_pictures):
        if engines.rooms.cached[r, k].content == content:
            return k
    return NONE


@kernel
def _shares(engines: Engines, index: int, place: int) -> bool:
    """Whether a request uses another of its pictures that is the same."""
    mine = engines.rooms.slots[index]
    content = _picture(engines, index, place).content
    for other in range(mine.n_pictures):
        if other != place and mine.used & _bit(other) != 0 and _picture(engines, index, other).content == content:
            return True
    return False


@kernel
def _join_idle(engines: Engines, r: int, k: int) -> None:
    head, cached = engines.rooms.replicas[r], engines.rooms.cached
    cached[r, k].before = head.picture_tail
    cached[r, k].after = NONE
    if head.picture_tail != NONE:
        cached[r, head.picture_tail].after = k
    else:
        head.picture_head = k
    head.picture_tail = k
    head.encoder_spare += cached[r, k].tokens


@kernel
def _leave_idle(engines: Engines, r: int, k: int) -> None:
    head, cached = engines.rooms.replicas[r], engines.rooms.cached
    before, after = cached[r, k].before, cached[r, k].after
    if before != NONE:
        cached[r, before].after = after
    else:
        head.picture_head = after
    if after != NONE:
        cached[r, after].before = before
    else:
        head.picture_tail = before


@kernel
def _forget(engines: Engines, r: int, k: int) -> None:
    """Take an idle picture out of the cache; the last one takes its place."""
    head, cached = engines.rooms.replicas[r], engines.rooms.cached
    _leave_idle(engines, r, k)
    head.encoder_free += cached[r, k].tokens
    head.n_pictures -= 1
    last = head.n_pictures
    if k == last:
        return
    moved, place = cached[r, last], cached[r, k]
    place.content, place.tokens, place.users = moved.content, moved.tokens, moved.users
    place.before, place.after = moved.before, moved.after
    if moved.users > 0:
        return
    if moved.before != NONE:
        cached[r, moved.before].after = k
    else:
        head.picture_head = k
    if moved.after != NONE:
        cached[r, moved.after].before = k
    else:
        head.picture_tail = k


@kernel
def _use(engines: Engines, r: int, index: int, place: int, k: int) -> None:
    """One more user of a picture that is there."""
    mine, cached = engines.rooms.slots[index], engines.rooms.cached[r, k]
    if cached.users == 0:
        _leave_idle(engines, r, k)
        engines.rooms.replicas[r].encoder_spare -= cached.tokens
    if mine.used & _bit(place) == 0 and not _shares(engines, index, place):
        cached.users += 1
    mine.used |= _bit(place)


@kernel
def _has_room(engines: Engines, r: int, tokens: int, budget: int, planned: int) -> bool:
    """Whether a picture can be encoded beside `planned` tokens of its request; idle ones make way."""
    head = engines.rooms.replicas[r]
    if tokens > budget:
        return False
    needed = tokens + planned
    if needed <= head.encoder_free:
        return True
    if needed > head.encoder_spare:
        return False
    while needed > head.encoder_free:
        _forget(engines, r, head.picture_head)
    return True


@kernel
def cut_at_pictures(engines: Engines, r: int, rep: Any, index: int, start: int, n: int) -> int:
    """Tokens of a chunk whose pictures can be encoded in this plan; those are noted for `encode_wanted`."""
    rooms = engines.rooms
    head, rules, mine = rooms.replicas[r], rooms.pools[rep.pool], rooms.slots[index]
    head.wanted = 0
    head.wanted_again = 0
    head.wanted_left = head.encoder_left
    if mine.n_pictures == 0 or n == 0:
        return n
    planned = 0
    end = start + n + rules.reads_ahead
    for place in range(mine.n_pictures):
        picture = _picture(engines, index, place)
        offset, tokens = picture.offset, picture.tokens
        if offset >= end or offset + tokens <= start:
            continue
        if rules.whole_items != 0 and start + n < offset + tokens:
            begins_with_it = start == offset and rules.chunk_may_begin_with_part == 0
            if start < offset or begins_with_it:
                return max(0, offset - start - rules.reads_ahead)
        twice = False
        for other in range(place):
            if head.wanted & _bit(other) != 0 and _picture(engines, index, other).content == picture.content:
                twice = True
        if twice:
            head.wanted_again |= _bit(place)
            continue
        k = _find(engines, r, picture.content)
        if k != NONE:
            _use(engines, r, index, place, k)
            continue
        if not _has_room(engines, r, tokens, head.wanted_left, planned):
            return max(0, min(n, offset - start - rules.stops_early))
        planned += tokens
        head.wanted_left -= tokens
        head.wanted |= _bit(place)
    return n


@kernel
def encode_wanted(engines: Engines, r: int, index: int) -> None:
    """The chunk was given: its pictures are encoded in this plan."""
    head, mine = engines.rooms.replicas[r], engines.rooms.slots[index]
    if mine.n_pictures == 0:
        return
    mine.encoded = head.wanted
    if head.wanted == 0:
        return
    for place in range(mine.n_pictures):
        if head.wanted & _bit(place) != 0:
            _put(engines, r, index, place)
    for place in range(mine.n_pictures):
        if head.wanted_again & _bit(place) != 0:
            k = _find(engines, r, _picture(engines, index, place).content)
            if k != NONE:
                _use(engines, r, index, place, k)
    head.encoder_left = head.wanted_left


@kernel
def _put(engines: Engines, r: int, index: int, place: int) -> None:
    head, mine = engines.rooms.replicas[r], engines.rooms.slots[index]
    picture = _picture(engines, index, place)
    cached = engines.rooms.cached[r, head.n_pictures]
    head.n_pictures += 1
    cached.content = picture.content
    cached.tokens = picture.tokens
    cached.users = 1
    mine.used |= _bit(place)
    head.encoder_free -= picture.tokens
    head.encoder_spare -= picture.tokens


@kernel
def take_back_budget(engines: Engines, r: int, index: int) -> None:
    """A victim's chunk of this plan is taken back: others may use what it took of the budget."""
    mine = engines.rooms.slots[index]
    for place in range(mine.n_pictures):
        if mine.encoded & _bit(place) != 0:
            engines.rooms.replicas[r].encoder_left += _picture(engines, index, place).tokens
    mine.encoded = 0


@kernel
def _release(engines: Engines, r: int, index: int, place: int) -> None:
    mine = engines.rooms.slots[index]
    mine.used &= ~_bit(place)
    k = _find(engines, r, _picture(engines, index, place).content)
    if k == NONE or _shares(engines, index, place):
        return
    engines.rooms.cached[r, k].users -= 1
    if engines.rooms.cached[r, k].users == 0:
        _join_idle(engines, r, k)


@kernel
def release_pictures(engines: Engines, r: int, index: int, known: int) -> None:
    """Pictures go, in order, when their last token is among `known` ones that are computed and confirmed."""
    mine = engines.rooms.slots[index]
    for place in range(mine.n_pictures):
        if mine.used & _bit(place) != 0:
            picture = _picture(engines, index, place)
            if picture.offset + picture.tokens <= known:
                _release(engines, r, index, place)
