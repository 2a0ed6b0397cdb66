"""What lies in the memory of the CPU, and what is evicted from it (vLLM `v1/kv_offload/cpu`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from simulator.engine.modes.offload.spec import Offload

Key = tuple[int, int]
"""KV cache group and content of a chunk, from the beginning of the sequence to the chunk's end."""
Positions = Mapping[Key, int]
"""Tokens from the beginning of a request to the end of each of its chunks."""
PENDING = -1
"""Users of a chunk whose store is not done."""


@dataclass(slots=True)
class Access:
    """Chunks that one request has met, by group; it counts as one use of each, when the request has ended."""

    generation: int
    groups: dict[int, list[Key]] = field(default_factory=dict)
    seen: set[Key] = field(default_factory=set)
    inserted: set[Key] = field(default_factory=set)
    reused: set[Key] = field(default_factory=set)
    missed: set[Key] = field(default_factory=set)
    ended: bool = False
    use: int = 0


class Lru:
    """Evicts the chunk whose last use, its store or the end of a request that met it, is longest ago.

    Parameters
    ----------
    at_once : all that a request meets counts as used when it met the first of it, too, ends of sequences first

    Attributes
    ----------
    users : loads that read a chunk, `PENDING` while it is stored
    """

    def __init__(self, at_once: bool) -> None:
        self._at_once = at_once
        self.users: dict[Key, int] = {}
        self._used: dict[Key, tuple[int, int, int]] = {}
        self._uses = 0

    def _next_use(self) -> int:
        self._uses += 1
        return self._uses

    def _use_of(self, key: Key, access: Access, positions: Positions) -> tuple[int, int, int]:
        access.use = access.use or self._next_use()
        return access.use, -positions[key], key[0]

    def met(self, keys: Sequence[Key], access: Access, positions: Positions) -> None:
        """A request has met chunks for the first time, which may not be there."""
        for key in keys if self._at_once else ():
            use = self._use_of(key, access, positions)
            if key in self.users:
                self._used[key] = max(self._used[key], use)

    def insert(self, key: Key, access: Access, positions: Positions) -> None:
        self.users[key] = PENDING
        self._used[key] = self._use_of(key, access, positions) if self._at_once else (self._next_use(), 0, 0)

    def missed(self, keys: Sequence[Key]) -> None:
        """Chunks that are about to be stored for a request, for the first time."""

    def used(self, keys: Iterable[Key], access: Access) -> None:
        """A request has ended; `keys` from the last to the first, so that ends of sequences go before beginnings."""
        for key in keys:
            if key in self.users:
                self._used[key] = (self._next_use(), 0, 0)

    def evict(self, n: int, kept: Collection[Key]) -> bool:
        """Give up `n` chunks that nobody reads or stores, none of `kept`; all or none."""
        idle = [key for key, users in self.users.items() if users == 0 and key not in kept]
        if len(idle) < n:
            return False
        for key in sorted(idle, key=self._used.__getitem__)[:n]:
            del self.users[key], self._used[key]
        return True

    def clear(self) -> None:
        self.users.clear()
        self._used.clear()


class Arc:
    """Adaptive replacement: chunks used once and chunks used again, whose shares follow what is missed of either.

    Parameters
    ----------
    capacity : chunks, also of each list of those that were given up
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.users: dict[Key, int] = {}
        self._once: dict[Key, None] = {}
        self._again: dict[Key, None] = {}
        self._gone_once: dict[Key, None] = {}
        self._gone_again: dict[Key, None] = {}
        self._target = 0.0

    def met(self, keys: Sequence[Key], access: Access, positions: Positions) -> None:
        """Its use counts when the request has ended."""

    def insert(self, key: Key, access: Access, positions: Positions) -> None:
        self.users[key] = PENDING
        self._once[key] = None
        self._gone_once.pop(key, None)
        self._gone_again.pop(key, None)

    def missed(self, keys: Sequence[Key]) -> None:
        for key in reversed(keys):
            once, again = self._gone_once, self._gone_again
            if key in once:
                self._target = min(self._target + max(1, len(again) / len(once)), self._capacity)
                _renew(once, key)
            elif key in again:
                self._target = max(self._target - max(1, len(once) / len(again)), 0)
                _renew(again, key)

    def used(self, keys: Iterable[Key], access: Access) -> None:
        only_stored = access.inserted - access.reused
        for key in keys:
            if key in only_stored:
                _renew(self._once if key in self._once else self._again, key)
            elif key in access.reused and key in self._once:
                del self._once[key]
                self._again[key] = None
            elif key in access.reused:
                _renew(self._again, key)

    def evict(self, n: int, kept: Collection[Key]) -> bool:
        once, again = self._idle(self._once, kept), self._idle(self._again, kept)
        chosen: list[tuple[Key, bool]] = []
        left = len(self._once)
        for _ in range(n):
            from_once = bool(once) and (left >= int(self._target) or not again)
            if not (once if from_once else again):
                return False
            chosen.append(((once if from_once else again).pop(0), from_once))
            left -= from_once
        for key, from_once in chosen:
            del self.users[key], (self._once if from_once else self._again)[key]
            (self._gone_once if from_once else self._gone_again)[key] = None
        for gone in (self._gone_once, self._gone_again):
            for key in list(islice(gone, max(0, len(gone) - self._capacity))):
                del gone[key]
        return True

    def _idle(self, keys: Iterable[Key], kept: Collection[Key]) -> list[Key]:
        return [key for key in keys if self.users[key] == 0 and key not in kept]

    def clear(self) -> None:
        for known in (self.users, self._once, self._again, self._gone_once, self._gone_again):
            known.clear()
        self._target = 0.0


def _renew(order: dict[Key, None], key: Key) -> None:
    """Put a key that is in `order` at its end."""
    if key in order:
        del order[key]
        order[key] = None


class CpuTier:
    """Chunks in the memory of the CPU (vLLM `CPUOffloadingManager`)."""

    def __init__(self, spec: Offload, uses_at_once: bool = False) -> None:
        self._spec = spec
        self._policy: Lru | Arc = Arc(spec.chunks) if spec.adaptive else Lru(uses_at_once)
        self._offers: dict[Key, int] = {}
        self._generation = 0

    def users(self, key: Key) -> int | None:
        """Loads that read the chunk, `PENDING` while it is stored; None where it is not there."""
        return self._policy.users.get(key)

    def begins_load(self, keys: Sequence[Key], access: Access, positions: Positions) -> None:
        """Chunks stay while they are read."""
        for key in keys:
            self._policy.users[key] += 1
        self._meet(keys, access, positions, reused=keys)

    def ends_load(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._policy.users[key] -= 1

    def begins_store(self, keys: Sequence[Key], access: Access, positions: Positions) -> list[Key] | None:
        """Of the chunks that are offered those that are stored now; None where too few others can be given up."""
        if self._spec.store_threshold > 1:
            self._count(keys)
        users = self._policy.users
        wanted = [key for key in keys if key not in users]
        if self._spec.store_threshold > 1:
            wanted = [key for key in wanted if self._offers.get(key, 0) >= self._spec.store_threshold]
        there = [key for key in keys if users.get(key, PENDING) != PENDING]
        missed = [key for key in wanted if key not in access.missed]
        self._policy.missed(missed)
        access.missed.update(missed)
        met = {*wanted, *there}
        self._meet([key for key in keys if key in met], access, positions, reused=there)
        too_many = len(wanted) - (self._spec.chunks - len(users))
        if too_many > 0 and not self._policy.evict(too_many, set(keys)):
            return None
        for key in wanted:
            self._policy.insert(key, access, positions)
        access.inserted.update(wanted)
        return wanted

    def ends_store(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._policy.users[key] = 0

    def access(self, known: Access | None) -> Access:
        """What a request has met since the tier was last emptied."""
        return known if known is not None and known.generation == self._generation else Access(self._generation)

    def request_ended(self, access: Access, positions: Positions) -> None:
        """Its use of chunks counts now, ends of sequences first."""
        if access.generation != self._generation or access.ended:
            return
        access.ended = True
        met = [key for number in sorted(access.groups) for key in access.groups[number]]
        self._policy.used(sorted(met, key=positions.__getitem__)[::-1], access)

    def reset(self) -> None:
        self._policy.clear()
        self._generation += 1

    def _count(self, keys: Sequence[Key]) -> None:
        """Count offers of chunks, of the `tracked` that were offered last."""
        known = [key for key in keys if key in self._offers]
        for key in known:
            self._offers[key] = self._offers.pop(key) + 1
        others = len(self._offers) - len(set(known))
        for key in keys:
            if key in self._offers:
                continue
            if len(self._offers) >= self._spec.tracked:
                if others == 0:
                    continue
                del self._offers[next(iter(self._offers))]
                others -= 1
            self._offers[key] = 1

    def _meet(self, keys: Iterable[Key], access: Access, positions: Positions, reused: Iterable[Key]) -> None:
        fresh = [key for key in keys if key not in access.seen]
        for key in fresh:
            access.groups.setdefault(key[0], []).append(key)
        access.seen.update(fresh)
        self._policy.met(fresh, access, positions)
        access.reused.update(key for key in reused if key not in access.inserted)
