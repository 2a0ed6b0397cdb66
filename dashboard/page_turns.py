"""Pages run in turn: the server's one interpreter is shared between visitors, not between what they ask for.

Few pages run at a time, one of a browser. Of those that wait the one goes first that has the most of its allowance of
processor seconds left, its address's or its own, whichever is less; equals go in the order in which they asked. Who has
used all of theirs has a page run when nobody else's does, so that nothing is taken from anybody on a quiet server. A
page that waits notices that its visitor has left, or asks for something else by now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dashboard.allowance import Asker, SharedAllowances

AT_ONCE = 2
"""More would share one interpreter, and each of them would end later."""
_BURST_S, _PER_S, _OF_ADDRESS = 10.0, 0.1, 3.0
"""Processor seconds of pages at once, and for each second that passes; a page takes 0.1 to 0.6, and is then read."""
_PATIENCE_S = 10.0
"""After so long a wait a page need not wait for an idle server."""
_LOOKS_S = 0.25
"""How often a page that waits looks whether it is still wanted."""
_CLASSES = 10
"""Shares of an allowance that count as equal are a tenth wide, so that turns go by age among those who use little."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    who: Asker
    since_s: float


class PageTurns:
    """Turns of the pages of one server.

    Parameters
    ----------
    clock, processor : seconds, of any clock and of the calling thread's use of a processor
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, processor: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._processor = clock, processor
        self._allowances = SharedAllowances(_BURST_S, _PER_S, _OF_ADDRESS, clock)
        self._changed = threading.Condition()
        self._waiting: list[_Asked] = []
        self._running: list[_Asked] = []
        self._mine = threading.local()

    @contextmanager
    def turn(self, who: Asker, look: Callable[[], object]) -> Iterator[None]:
        """Wait for the turn, and use it up.

        Parameters
        ----------
        look : called again and again meanwhile; raises where the page is no longer wanted
        """
        mine = _Asked(who, self._clock())
        with self._changed:
            self._waiting.append(mine)
        try:
            while not self._begins(mine):
                look()
        except BaseException:
            with self._changed:
                self._waiting.remove(mine)
                self._changed.notify_all()
            raise
        began_s, self._mine.turn = self._processor(), mine
        try:
            yield
        finally:
            del self._mine.turn
            used_s = self._processor() - began_s
            with self._changed:
                self._running.remove(mine)
                self._allowances.take(who, used_s)
                self._changed.notify_all()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Others may have their turn while the page of this thread waits for what another process does."""
        mine: _Asked | None = getattr(self._mine, "turn", None)
        if mine is None:
            yield
            return
        self._mine.turn = None
        with self._changed:
            self._running.remove(mine)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running.append(mine)
            self._mine.turn = mine

    def _begins(self, mine: _Asked) -> bool:
        """Whether it is the turn of this one, now or within a moment; then it runs."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_next(mine), _LOOKS_S):
                return False
            self._waiting.remove(mine)
            self._running.append(mine)
            self._changed.notify_all()
            return True

    def _is_next(self, mine: _Asked) -> bool:
        busy = {running.who.browser for running in self._running}
        free = [asked for asked in self._waiting if asked.who.browser not in busy]
        if len(self._running) >= AT_ONCE or min(free, key=self._rank, default=None) is not mine:
            return False
        is_patient = self._clock() - mine.since_s < _PATIENCE_S
        return not (self._running and is_patient and self._allowances.share(mine.who) <= 0)

    def _rank(self, asked: _Asked) -> tuple[float, float]:
        return -(self._allowances.share(asked.who) * _CLASSES // 1), asked.since_s


TURNS = PageTurns()
"""Of this server; not in a cache of Streamlit's, which browsers may clear."""
