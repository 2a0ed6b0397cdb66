"""What each of many may use: an amount at once, and then as much as comes back over time (token buckets)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, in words that tell nobody who that is.

    Attributes
    ----------
    address : where it is asked from; people behind one proxy share it
    browser : the browser there
    """

    address: str
    browser: str


class Allowances:
    """A bucket for each name, full at first; who takes more than is left owes it.

    Parameters
    ----------
    burst : what a full one holds, in any unit
    per_s : what comes back each second, until it is full
    clock : seconds, from any moment
    """

    def __init__(self, burst: float, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._left: dict[str, tuple[float, float]] = {}

    def left(self, name: str) -> float:
        """What is left; less than nothing where it is owed."""
        amount, at_s = self._left.get(name, (self._burst, 0.0))
        return min(self._burst, amount + (self._clock() - at_s) * self._per_s)

    def share(self, name: str) -> float:
        """What is left, of a full one."""
        return self.left(name) / self._burst

    def take(self, name: str, amount: float = 1.0) -> None:
        """Use some; at most as much is owed as a full one holds."""
        left = self.left(name)
        if len(self._left) >= _MOST_KEPT:
            self._left = {kept: value for kept, value in self._left.items() if self.left(kept) < self._burst}
        self._left[name] = max(left - amount, -self._burst), self._clock()

    def wait_s(self, name: str, amount: float = 1.0) -> float:
        """Seconds until that much is left; none if it is."""
        return max(0.0, (amount - self.left(name)) / self._per_s)


class SharedAllowances:
    """Buckets of browsers, and larger ones of their addresses.

    Parameters
    ----------
    burst, per_s : of a browser
    of_address : so many times as much may come from one address: several people behind one proxy
    """

    def __init__(
        self, burst: float, per_s: float, of_address: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._browsers = Allowances(burst, per_s, clock)
        self._addresses = Allowances(of_address * burst, of_address * per_s, clock)

    def share(self, who: Asker) -> float:
        """What is left of the browser's or of its address's, of a full one, whichever is less."""
        return min(self._browsers.share(who.browser), self._addresses.share(who.address))

    def take(self, who: Asker, amount: float = 1.0) -> float:
        """Use some, at most as much as a browser's bucket holds; seconds until that much was there."""
        amount = min(amount, self._burst)
        wait_s = max(self._browsers.wait_s(who.browser, amount), self._addresses.wait_s(who.address, amount))
        self._browsers.take(who.browser, amount)
        self._addresses.take(who.address, amount)
        return wait_s
