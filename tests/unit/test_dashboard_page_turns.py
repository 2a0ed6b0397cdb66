"""Whose page runs next: by clocks that the test turns, pages that end when they are told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dashboard.allowance import Asker
from dashboard.page_turns import AT_ONCE, PageTurns

DEADLINE_S = 60.0


class NotWantedError(BaseException):
    """As Streamlit ends a script."""


class Pages:
    """Pages of visitors, each in a thread; clocks stand still unless told otherwise."""

    def __init__(self) -> None:
        self.now_s, self.used_s = 0.0, threading.local()
        self.turns = PageTurns(lambda: self.now_s, lambda: getattr(self.used_s, "value", 0.0))
        self.began: list[str] = []
        self._ends: dict[str, threading.Event] = {}
        self._costs_s: dict[str, float] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._steps: dict[str, threading.Event] = {}

    def ask(self, name: str, browser: str, address: str = "", look: Callable[[], object] = lambda: None) -> None:
        """A page that waits, or runs until `end`."""
        self._ends[name] = threading.Event()
        known = self.waiting + len(self.began)

        def run() -> None:
            with self.turns.turn(Asker(address or browser, browser), look):
                self.began.append(name)
                self._ends[name].wait(DEADLINE_S)
                self.used_s.value = self._costs_s.get(name, 0.0)

        def thread() -> None:
            try:
                run()
            except NotWantedError:
                self.began.append(f"{name} left")

        self._threads[name] = threading.Thread(target=thread, daemon=True)
        self._threads[name].start()
        self.until(lambda: self.waiting + len(self.began) > known)

    def end(self, name: str, cost_s: float = 0.0) -> None:
        """The page has run, and used so many seconds."""
        self._costs_s[name] = cost_s
        self._ends[name].set()
        self._threads[name].join(DEADLINE_S)

    def use(self, browser: str, cost_s: float, address: str = "") -> None:
        """Another page of that browser, which runs now."""
        name = f"{browser} {len(self.began)}"
        self.ask(name, browser, address)
        self.until(lambda: name in self.began)
        self.end(name, cost_s)
        self.began.remove(name)

    @property
    def waiting(self) -> int:
        return len(self.turns._waiting)

    def until(self, holds: Callable[[], bool]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert time.monotonic() < end_s
            time.sleep(0.001)

    def stay(self, *names: str) -> None:
        """So many have begun, and no further one does."""
        self.until(lambda: len(self.began) >= len(names))
        time.sleep(0.02)
        assert self.began == [*names]


@pytest.fixture
def pages() -> Iterator[Pages]:
    found = Pages()
    yield found
    for name in found._ends:
        found._ends[name].set()


def test_few_run_at_a_time_and_the_others_in_the_order_in_which_they_asked(pages: Pages) -> None:
    names = [f"page {k}" for k in range(AT_ONCE + 2)]
    for k, name in enumerate(names):
        pages.ask(name, f"visitor {k}")
        pages.now_s += 0.1
    pages.stay(*names[:AT_ONCE])
    pages.end(names[1])
    pages.stay(*names[: AT_ONCE + 1])
    pages.end(names[0])
    pages.stay(*names)


def test_one_browser_has_one_page_run_at_a_time(pages: Pages) -> None:
    for k in range(5):
        pages.ask(f"flood {k}", "hostile")
        pages.now_s += 0.1
    pages.ask("page", "reader")
    pages.stay("flood 0", "page")


def test_who_has_used_more_waits_for_who_has_used_less(pages: Pages) -> None:
    pages.use("busy", 5.0)
    for k in range(AT_ONCE):
        pages.ask(f"first {k}", f"visitor {k}")
    pages.ask("second of the busy one", "busy")
    pages.now_s += 0.1
    pages.ask("page", "reader")
    pages.end("first 0")
    pages.stay("first 0", "first 1", "page")
    pages.end("first 1")
    pages.stay("first 0", "first 1", "page", "second of the busy one")


def test_who_has_used_all_has_a_page_run_once_nobody_else_does(pages: Pages) -> None:
    pages.use("hostile", 11.0)
    pages.ask("at once", "hostile")
    pages.stay("at once")
    pages.end("at once", 2.0)
    pages.ask("page", "reader")
    pages.ask("flood", "hostile")
    pages.stay("at once", "page")
    pages.end("page")
    pages.stay("at once", "page", "flood")


def test_who_has_used_all_waits_some_seconds_and_not_for_ever(pages: Pages) -> None:
    pages.use("hostile", 20.0)
    pages.ask("page", "reader")
    pages.ask("flood", "hostile")
    pages.now_s += 9.9
    pages.stay("page")
    pages.now_s += 0.2
    pages.stay("page", "flood")


def test_many_browsers_of_one_address_share_what_it_may_use(pages: Pages) -> None:
    for k in range(3):
        pages.use(f"made up {k}", 10.0, "hostile")
    pages.ask("first", "visitor")
    pages.ask("new browser", "made up 3", "hostile")
    pages.now_s += 0.1
    pages.ask("page", "reader")
    pages.stay("first", "page")


def test_a_page_that_nobody_wants_any_more_gives_up_its_place(pages: Pages) -> None:
    left = threading.Event()

    def look() -> None:
        if left.is_set():
            raise NotWantedError

    for k in range(AT_ONCE):
        pages.ask(f"first {k}", f"visitor {k}")
    pages.ask("page", "reader", look=look)
    left.set()
    pages.until(lambda: "page left" in pages.began)
    assert pages.waiting == 0
    pages.ask("another", "reader")
    pages.end("first 0")
    pages.until(lambda: "another" in pages.began)


def test_a_page_that_waits_for_another_process_holds_up_nobody() -> None:
    turns = PageTurns()
    reader, others = Asker("a", "reader"), [Asker("b", f"visitor {k}") for k in range(AT_ONCE)]
    began = threading.Barrier(AT_ONCE + 1)

    def page(who: Asker) -> None:
        with turns.turn(who, lambda: None):
            began.wait(DEADLINE_S)

    threads = [threading.Thread(target=page, args=(who,), daemon=True) for who in others]
    with turns.turn(reader, lambda: None):
        with turns.aside(), turns.aside():
            for thread in threads:
                thread.start()
            began.wait(DEADLINE_S)
        assert [asked.who for asked in turns._running][-1] == reader
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not turns._running
    with turns.aside():
        assert not turns._running, "who has no turn has nothing to give up"
