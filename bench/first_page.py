"""How fast a new server of the dashboard shows its first page: `python -m bench.first_page RUNS [CHECKOUT…]`, JSON.

Each of ten servers is visited twice: the first visitor it ever has, and the next one. Then one server is visited ten
times while six runs are under way on it. Of several checkouts, as one before a change and this one, servers take turns,
so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.browser import chromium, server
from bench.dashboard import first_paint, of_ten
from bench.under_way import runs_under_way

SERVERS = 10


def main(runs: Path, checkouts: Sequence[Path]) -> None:
    """Medians and the worst of all, in seconds, by checkout."""
    found: dict[str, dict[str, list[float]]] = {str(checkout): {} for checkout in checkouts}
    with chromium() as browser:
        for checkout in [*checkouts] * SERVERS:
            began_s = time.perf_counter()
            with server(runs, out=runs, checkout=checkout) as (address, _):
                ready_s = time.perf_counter() - began_s
                _keep(found[str(checkout)], "new server", ready_s, first_paint(browser, address))
                _keep(found[str(checkout)], "next", 0.0, first_paint(browser, address))
        for checkout in checkouts:
            _busy(browser, runs, checkout, found[str(checkout)])
    print(json.dumps({name: of_ten(times) for name, times in found.items()}, indent=1))


def _busy(browser: Any, runs: Path, checkout: Path, times: dict[str, list[float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        shutil.copytree(runs, out, dirs_exist_ok=True)
        with server(out, out=out, checkout=checkout) as (address, _):
            first_paint(browser, address)
            with runs_under_way(out):
                for _ in range(SERVERS):
                    _keep(times, "six runs under way", 0.0, first_paint(browser, address))


def _keep(times: dict[str, list[float]], name: str, ready_s: float, shown_s: tuple[float, float]) -> None:
    if ready_s:
        times.setdefault("server answers", []).append(ready_s)
    for words, value in zip(("verdict", "chart"), shown_s, strict=True):
        times.setdefault(f"{name}: {words}", []).append(value)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), [*map(Path, sys.argv[2:])] or [Path.cwd()])
