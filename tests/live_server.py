"""A stand-in for a vLLM server's `/metrics`: real Prometheus pages over histories that the simulator makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from calibrate.live.scrape import COUNTERS, GAUGES, HISTOGRAMS, Snapshot, parse

_SECONDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_LABELS = {"model_name": "m", "engine": "0"}


class ServerMetrics:
    """The series of vLLM 0.32 that are read, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = list(_LABELS)
        self._histograms = {
            key: Histogram(
                name, key, names, registry=self.registry, buckets=_TOKENS if key in ("isl", "osl") else _SECONDS
            ).labels(**_LABELS)
            for key, name in HISTOGRAMS.items()
        }
        self._gauges = {
            k: Gauge(name, k, names, registry=self.registry).labels(**_LABELS) for k, name in GAUGES.items()
        }
        self._counters = {
            key: Counter(name, key, names, registry=self.registry).labels(**_LABELS) for key, name in COUNTERS.items()
        }
        info = Gauge("vllm:cache_config_info", "info", ["block_size", "num_gpu_blocks"], registry=self.registry)
        info.labels(block_size="16", num_gpu_blocks="4000").set(1)

    def finish(self, request: Any, first_s: float) -> None:
        """Count one record of the simulator as the server would."""
        ttft_s, e2e_s = first_s - request["arrival_s"], request["finish_s"] - request["arrival_s"]
        values = {
            "ttft_s": ttft_s,
            "e2e_s": e2e_s,
            "queue_s": request["scheduled_s"] - request["arrival_s"],
            "prefill_s": first_s - request["scheduled_s"],
            "isl": request["isl"],
            "osl": request["osl"],
        }
        gaps = int(request["osl"]) - 1
        if gaps:
            values["tpot_s"] = (e2e_s - ttft_s) / gaps
            for _ in range(gaps):
                self._histograms["itl_s"].observe(values["tpot_s"])
        for key, value in values.items():
            self._histograms[key].observe(float(value))
        self._counters["prompt_tokens"].inc(float(request["isl"]))
        self._counters["generation_tokens"].inc(float(request["osl"]))
        self._counters["prefix_queries"].inc(float(request["isl"]))
        self._counters["prefix_hits"].inc(float(request["cached_tokens"]))
        self._counters["finished"].inc()

    def page(self, running: float = 0.0) -> str:
        self._gauges["running"].set(running)
        return generate_latest(self.registry).decode()


def history(records: NDArray[Any], period_s: float) -> list[Snapshot]:
    """Readings every `period_s` of a server that served these records."""
    metrics = ServerMetrics()
    ordered = records[np.argsort(records["finish_s"])]
    found, done = [], 0
    for k in range(int(ordered["finish_s"][-1] / period_s) + 2):
        now_s = k * period_s
        while done < len(ordered) and ordered["finish_s"][done] <= now_s:
            metrics.finish(ordered[done], float(ordered["first_token_s"][done]))
            done += 1
        present = np.count_nonzero(records["arrival_s"] <= now_s) - done
        found.append(parse(metrics.page(float(present)), 1.7e9 + now_s))
    return found


@contextmanager
def serving(pages: Sequence[str | None]) -> Iterator[str]:
    """A server that answers with these pages in turn (None: an error 503), the last one again and again."""
    left = list(pages)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(503 if page is None else 200)
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
