"""Twenty visitors of one dashboard, two of them hostile, beside three runs: `python -m bench.visitors RUNS`, JSON.

Visitors speak the page's own protocol, so that what is timed is the server and not twenty browsers on its cores: a
page takes from the request until its script has finished and everything that it shows has arrived. Each looks at a
page, reads for some seconds and goes on; some change What-ifs. One hostile visitor floods the server with requests that
it abandons, frames that are no messages and messages that clear caches; the other asks for What-ifs without a pause,
and starts and cancels runs. With `--uploads 300` one visitor uploads as many files of 100 kB, one after another, and
nobody else comes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from bench.browser import pss_bytes, server
from dashboard import jobs
from dashboard.pages import PAGES
from dashboard.workspace import shipped
from simulator.errors import InputError

VISITORS, RUNS = 20, 3
READS_S = (4.0, 12.0)
LARGEST_BYTES = 512 * 2**20
FAILED = "exception"
UPLOADED = b"# " + b"x" * 100_000
TOKEN = "0123456789abcdef" * 2
"""By which a browser's uploads are known as its page's own: the same in a cookie and in a header."""


class Visits:
    """What was seen: seconds of each page and of each answer of the health check, and pages that showed an error."""

    def __init__(self, address: str, until_s: float) -> None:
        self.address, self.until_s = address, until_s
        self.page_s: dict[str, list[float]] = {}
        self.health_s: list[float] = []
        self.errors: list[str] = []

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until_s

    def connection(self, number: int) -> connect:
        """A visit by the page's own protocol, of the visitor of that number, as a proxy on the machine passes it on."""
        return connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            additional_headers={"X-Forwarded-For": f"10.0.0.{number}"},
            max_size=LARGEST_BYTES,
            open_timeout=60,
        )


def asked(page: str, query: str = "") -> bytes:
    """The message of a browser that goes to a page."""
    message = BackMsg()
    message.rerun_script.page_name = page
    message.rerun_script.query_string = query
    return bytes(message.SerializeToString())


async def look(visits: Visits, connection: ClientConnection, page: str, query: str = "") -> None:
    """Go to a page and wait until its script has finished."""
    began_s = time.perf_counter()
    await connection.send(asked(page, query))
    while True:
        message = ForwardMsg()
        message.ParseFromString(await connection.recv())  # type: ignore[arg-type]
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.new_element.WhichOneof("type") == FAILED:
            visits.errors.append(f"{page}: {message.delta.new_element.exception.message[:200]}")
        if kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            visits.page_s.setdefault(page, []).append(time.perf_counter() - began_s)
            return


async def reader(visits: Visits, number: int) -> None:
    """Looks at pages in an order of its own; each fourth visit is a new one, and What-ifs are changed."""
    rng = Random(f"visitor {number}")
    await asyncio.sleep(rng.uniform(0, READS_S[1]))
    while not visits.is_over:
        async with visits.connection(number) as connection:
            for _ in range(4):
                page = rng.choice(PAGES).view
                change = f"what_if.demand={rng.choice((0.8, 1.25, 1.5, 2.0))}" if page == "what_if" else ""
                await look(visits, connection, page.replace("_", "-"), change)
                await asyncio.sleep(rng.uniform(*READS_S))
                if visits.is_over:
                    return


async def flood(visits: Visits, number: int) -> None:
    """Requests that nobody waits for, frames that are no messages, and messages that clear caches."""
    rng = Random(f"hostile {number}")
    clear = BackMsg()
    clear.clear_cache = True
    while not visits.is_over:
        async with visits.connection(number) as connection:
            for _ in range(20):
                await connection.send(asked(rng.choice(PAGES).view.replace("_", "-"), "x" * 10_000))
                await connection.send(clear.SerializeToString())
                await asyncio.sleep(0.1)
            await connection.send(rng.randbytes(100_000))


async def insist(visits: Visits, out: Path, text: str, number: int) -> None:
    """What-ifs without a pause, each another, and runs that are cancelled as soon as they have begun."""
    rng = Random(f"hostile {number}")
    unseen = Visits(visits.address, visits.until_s)
    while not visits.is_over:
        async with visits.connection(number) as connection:
            await look(unseen, connection, "what-if", f"what_if.demand={rng.uniform(0.5, 4):.4f}")
            try:
                job = await asyncio.to_thread(jobs.start, out, "a.yaml", text, {}, visitor="hostile")
                await asyncio.to_thread(jobs.cancel, out, job)
            except InputError:
                await asyncio.sleep(0.1)


async def upload(visits: Visits, count: int, pid: int) -> list[int]:
    """Upload files in one visit; MiB of the server before, after each tenth of them, and once the browser is gone."""
    headers = {"X-Forwarded-For": "10.0.0.1", "Cookie": f"_streamlit_xsrf={TOKEN}", "X-Xsrftoken": TOKEN}
    headers["Content-Type"] = "multipart/form-data; boundary=x"
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.yaml"\r\n\r\n%b\r\n--x--\r\n' % UPLOADED
    async with visits.connection(1) as connection:
        await look(visits, connection, "scenario")
        seen = [_mib(pid)]
        for k in range(1, count + 1):
            message, answer = BackMsg(), ForwardMsg()
            message.file_urls_request.request_id = str(k)
            message.file_urls_request.file_names.append("a.yaml")
            await connection.send(message.SerializeToString())
            while answer.WhichOneof("type") != "file_urls_response":
                answer.ParseFromString(await connection.recv())  # type: ignore[arg-type]
            address = visits.address + answer.file_urls_response.file_urls[0].upload_url
            request = urllib.request.Request(address, data=part, method="PUT", headers=headers)
            (await asyncio.to_thread(urllib.request.urlopen, request, timeout=60)).close()
            if k % max(count // 10, 1) == 0:
                seen.append(_mib(pid))
    await asyncio.sleep(READS_S[0])
    return [*seen, _mib(pid)]


def _mib(pid: int) -> int:
    return round(pss_bytes(pid) / 2**20)


async def health(visits: Visits) -> None:
    """The health check, twice a second."""
    check = partial(urllib.request.urlopen, f"{visits.address}/_stcore/health", timeout=60)
    while not visits.is_over:
        began_s = time.perf_counter()
        (await asyncio.to_thread(check)).read()
        visits.health_s.append(time.perf_counter() - began_s)
        await asyncio.sleep(0.5)


async def again(visits: Visits, visitor: Callable[[], Awaitable[None]], is_hostile: bool) -> None:
    """A visitor who comes back after the connection was lost; others than hostile ones count that as an error."""
    while not visits.is_over:
        try:
            await visitor()
        except Exception as error:
            if not is_hostile:
                visits.errors.append(f"{type(error).__name__}: {error}")
        await asyncio.sleep(0.2)


async def visit(visits: Visits, out: Path, text: str, hostile: int) -> None:
    """All of them at once."""
    kinds = [partial(reader, visits, number) for number in range(VISITORS - hostile)]
    both = [partial(flood, visits, VISITORS - 1), partial(insist, visits, out, text, VISITORS - 2)][:hostile]
    everybody = [again(visits, one, False) for one in kinds] + [again(visits, one, True) for one in both]
    await asyncio.gather(health(visits), *everybody)


def main() -> None:
    """Medians, worst tenths and errors of the visitors who are not hostile, and memory of the server."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("runs", type=Path)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--hostile", type=int, default=2, choices=(0, 1, 2), help="one floods, the second insists")
    options.add_argument("--uploads", type=int, metavar="FILES", help="one visitor who uploads them, nobody else")
    given = options.parse_args()
    text = (shipped() / "quickstart.yaml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        shutil.copytree(given.runs, out, dirs_exist_ok=True)
        with server(out, out=out) as (address, pid):
            if given.uploads:
                visits = Visits(address, time.monotonic())
                mib = asyncio.run(upload(visits, given.uploads, pid))
                print(json.dumps({"uploads": given.uploads, "memory_mib": mib, "errors": visits.errors}))
                return
            for k in range(RUNS):
                longer = text.replace("seed: 7", f"seed: {k}").replace("replications: 3", "replications: 10")
                jobs.start(out, "quickstart.yaml", longer, {}, visitor=f"visitor {k}")
            visits = Visits(address, time.monotonic() + 60 * given.minutes)
            asyncio.run(visit(visits, out, text.replace("seed: 7", "seed: 9"), given.hostile))
            memory_mib = _mib(pid)
            while going := jobs.going(out):
                for job in going:
                    jobs.cancel(out, job)
                time.sleep(0.5)
    print(json.dumps(told(visits) | {"memory_mib": memory_mib}, indent=1))


def told(visits: Visits) -> dict[str, Any]:
    """Figures of all pages together and of each."""
    pages = {page: _figures(values) for page, values in sorted(visits.page_s.items())}
    every = [value for values in visits.page_s.values() for value in values]
    return {
        "pages": _figures(every) | {"seen": len(every)},
        "health check": _figures(visits.health_s),
        "errors": visits.errors[:20],
        "number of errors": len(visits.errors),
        "page": pages,
    }


def _figures(values: list[float]) -> dict[str, float]:
    worst = statistics.quantiles(values, n=10)[-1] if len(values) > 1 else max(values, default=0.0)
    median = statistics.median(values) if values else 0.0
    return {"median_s": round(median, 2), "worst_tenth_s": round(worst, 2), "worst_s": round(max(values, default=0), 2)}


if __name__ == "__main__":
    main()
