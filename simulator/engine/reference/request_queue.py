"""The waiting queue (vLLM 0.32.0 `request_queue.py`)."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from simulator.engine.config import Policy
from simulator.engine.reference.request import Request


class RequestQueue:
    """Requests that wait for admission, the next one first."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._requests: list[Request] = []

    def __len__(self) -> int:
        return len(self._requests)

    def add_request(self, request: Request) -> None:
        """FCFS: behind all others. Priority: where (priority, arrival) puts it."""
        if self._policy == Policy.PRIORITY:
            bisect.insort(self._requests, request, key=lambda r: r.serving_order)
        else:
            self._requests.append(request)

    def prepend_request(self, request: Request) -> None:
        """Return a preempted request. FCFS: before all others. Priority: where (priority, arrival) puts it."""
        if self._policy == Policy.PRIORITY:
            self.add_request(request)
        else:
            self._requests.insert(0, request)

    def prepend_requests(self, requests: Sequence[Request]) -> None:
        """Return requests that were passed over. FCFS: before all others, in the order given. Priority: as above."""
        for request in reversed(requests):
            self.prepend_request(request)

    def peek_request(self) -> Request:
        return self._requests[0]

    def pop_request(self) -> Request:
        return self._requests.pop(0)

    def discard(self, request: Request) -> None:
        """Take a request out, if it is here."""
        if request in self._requests:
            self._requests.remove(request)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)
