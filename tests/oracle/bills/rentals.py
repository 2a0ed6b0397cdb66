"""When rented instances are paid for."""

from __future__ import annotations

import math
from itertools import pairwise

from bills.rows import Row


def rentals(pool: Row, offer: Row, usage: Row, is_job: bool = False) -> list[tuple[float, float]]:
    """When each instance is paid for."""
    by_server: dict[int, list[list[float]]] = {}
    for stay in sorted(pool["stays"], key=lambda item: item["start_s"]):
        if stay["end_s"] <= stay["start_s"] or stay.get("lost"):
            continue
        mine = by_server.setdefault(stay["server"], [])
        if mine and stay["start_s"] <= mine[-1][1]:
            mine[-1][1] = max(mine[-1][1], stay["end_s"])
        else:
            mine.append([stay["start_s"], stay["end_s"]])
    paid = []
    launched = dict(pool.get("before_s", ()))
    for server, begin, end in ((server, *span) for server, spans in by_server.items() for span in spans):
        first = launched.get(server, begin) if begin <= usage["start_s"] else begin
        seconds = end - first
        if is_job or ((begin > usage["start_s"] or first < begin) and end < usage["end_s"]):
            seconds = max(seconds, offer["minimum_s"])
            if offer["granularity_s"]:
                seconds = math.ceil((seconds - 1e-6) / offer["granularity_s"]) * offer["granularity_s"]
        paid.append((begin, first + seconds))
    return paid


def pieces(spans: list[tuple[float, float]]) -> list[tuple[int, float, int]]:
    """(simulated hour, hours, instances paid for at once) of each piece of time in which nothing changes."""
    if not spans:
        return []
    last = max(end for _, end in spans)
    cuts = {edge for span in spans for edge in span} | {3600.0 * k for k in range(math.ceil(last / 3600.0) + 1)}
    edges = sorted(edge for edge in cuts if edge <= last)
    starts, ends = sorted(begin for begin, _ in spans), sorted(end for _, end in spans)
    found, begun, over = [], 0, 0
    for begin, end in pairwise(edges):
        while begun < len(starts) and starts[begun] <= begin:
            begun += 1
        while over < len(ends) and ends[over] <= begin:
            over += 1
        if begun > over:
            found.append((int(begin // 3600.0), (end - begin) / 3600.0, begun - over))
    return found
