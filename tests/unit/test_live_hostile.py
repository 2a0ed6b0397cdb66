"""A server may send anything: the watch goes on, within its time and memory."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import ServerMetrics

from calibrate.live import fetch
from calibrate.live.fetch import address, fetch_lines, shown
from calibrate.live.histogram import Histogram
from calibrate.live.poll import Clock, Gap, poll, read_recording, record
from calibrate.live.scrape import Snapshot, parse
from calibrate.live.window import observe
from simulator.errors import InputError

REQUEST = {"arrival_s": 0.0, "scheduled_s": 0.1, "finish_s": 2.0, "isl": 300, "osl": 20, "cached_tokens": 64}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"


@contextmanager
def answering(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that lets `send` do with each connection what it wants; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    send(connection)
                except OSError:
                    continue

    Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
    finally:
        listener.close()


def drip(head: bytes, connection: socket.socket) -> None:
    """Send a byte now and then, for ever."""
    connection.sendall(head)
    connection.settimeout(0.05)
    while True:
        try:
            if connection.recv(1) == b"":
                return
        except TimeoutError:
            connection.sendall(b"v")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", HEAD], ids=["status", "header", "body"])
def test_a_server_that_drips_ends_with_the_time(head: bytes) -> None:
    with answering(lambda connection: drip(head, connection)) as url, pytest.raises(OSError, match="no whole answer"):
        fetch_lines(url, "vllm:", 0.3)


def flood(line: bytes, connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(line * 100)


@pytest.mark.parametrize(
    "line",
    [b"# a comment\n", b'vllm:x{a="b"} 1\n', b"vllm:" + b"x" * 20_000, b"x" * 20_000],
    ids=["comments", "series", "line", "foreign"],
)
def test_a_page_without_end_is_given_up(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 400_000)
    monkeypatch.setattr(fetch, "MOST_KEPT_BYTES", 100_000)
    with answering(lambda connection: flood(line, connection)) as url, pytest.raises(OSError, match="more than"):
        fetch_lines(url, "vllm:", 20.0)


def test_only_the_lines_that_are_asked_for_are_kept() -> None:
    body = b'# HELP x\nvllm:a 1\nother 2\nvllm:b{model_name="m"} 3'
    with answering(lambda connection: connection.sendall(HEAD + body)) as url:
        assert fetch_lines(url, "vllm:", 5.0) == 'vllm:a 1\nvllm:b{model_name="m"} 3\n'


def test_control_characters_of_a_server_reach_no_terminal() -> None:
    status = b"HTTP/1.1 500 \x1b[2J\x07bad\r\n\r\n"
    with answering(lambda connection: connection.sendall(status)) as url, pytest.raises(OSError, match="bad") as failed:
        fetch_lines(url, "vllm:", 5.0)
    assert str(failed.value).isprintable()
    assert shown("a\x1b[31m\nb" + "c" * 500).isprintable()
    assert len(shown("c" * 10_000)) < 250


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("localhost:8000", "http://localhost:8000/metrics"),
        ("http://gpu:8000/", "http://gpu:8000/metrics"),
        ("https://gpu/vllm/metrics", "https://gpu/vllm/metrics"),
    ],
)
def test_the_page_of_a_server_is_found(url: str, page: str) -> None:
    assert address(url) == page


def _page() -> str:
    metrics = ServerMetrics()
    metrics.finish(REQUEST, 0.5)
    return metrics.page(running=1.0)


PAGE = _page()
TWO_ENDS = {"edges": ["+Inf", "+Inf"], "cumulative": [1.0, 2.0], "sum": 1.0}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vllm:num_requests_running{", "NaN"),
        ("vllm:num_requests_running{", "-1"),
        ("vllm:num_requests_waiting{", "+Inf"),
        ("vllm:prompt_tokens_total{", "NaN"),
        ("vllm:time_to_first_token_seconds_sum{", "-3"),
        ("vllm:time_to_first_token_seconds_sum{", "1e300"),
        ("vllm:time_to_first_token_seconds_sum{", "9" * 400),
        ("vllm:request_prompt_tokens_bucket{", "9" * 400),
        ("vllm:request_prompt_tokens_bucket{", "-1"),
    ],
)
def test_values_that_no_server_counts_are_refused(old: str, new: str) -> None:
    lines = [line.rsplit(" ", 1)[0] + f" {new}" if line.startswith(old) else line for line in PAGE.splitlines()]
    with pytest.raises(InputError, match="counts what no server can"):
        parse("\n".join(lines) + "\n", 0.0)


@pytest.mark.parametrize("edge", ["NaN", "-1", "many", ""])
def test_a_bucket_without_an_end_is_refused(edge: str) -> None:
    with pytest.raises(InputError):
        parse(PAGE.replace('le="0.25"', f'le="{edge}"'), 0.0)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_page_changed_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    text = "\n".join(line for line in PAGE.splitlines() if "_created" not in line) + "\n"
    at = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.integers(0, 60))
    put = data.draw(st.text(st.sampled_from('0123456789.-+eNaInf{}",=_\x00\n #'), max_size=12))
    changed = text[:at] + put + text[at + cut :]
    try:
        snapshot = parse(changed, 1.0)
    except InputError:
        return
    observe([snapshot, snapshot])


def test_one_bad_answer_is_a_gap_and_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = ServerMetrics()
    pages = []
    for k in range(6):
        metrics.finish(REQUEST, 0.5)
        pages.append("vllm:\x1b[2J nonsense\n" if k == 2 else metrics.page())
    answers = iter(pages)
    monkeypatch.setattr("calibrate.live.poll.scrape", lambda url, timeout_s: next(answers))
    now = [0.0]
    clock = Clock(lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    polls = list(record(poll("url", 1.0, 5.0, clock, timeout_s=1.0), tmp_path / "polls.jsonl"))
    assert [isinstance(entry, Gap) for entry in polls] == [False, False, True, False, False, False]
    assert all(entry.reason.isprintable() for entry in polls if isinstance(entry, Gap))
    seen = observe(read_recording(tmp_path / "polls.jsonl"))
    assert seen.counter("finished") == 3.0
    assert len(seen.gaps) == 1


def snapshot(time_s: float, edges: list[float], counts: list[float], total: float) -> Snapshot:
    base = parse(PAGE, time_s)
    isl = Histogram(np.array([*edges, np.inf]), np.cumsum(counts), total)
    return Snapshot(time_s, base.counters, base.gauges, {**base.histograms, "isl": isl}, base.cache)


def test_other_buckets_are_a_restart_and_what_was_before_still_counts() -> None:
    polls = [
        snapshot(0.0, [1, 2, 4], [1, 1, 1, 1], 10),
        snapshot(1.0, [1, 2, 4], [2, 1, 3, 1], 19),
        snapshot(2.0, [2, 4, 8], [5, 5, 5, 5], 50),
        snapshot(3.0, [2, 4, 8], [6, 5, 8, 5], 80),
    ]
    seen = observe(polls)
    assert [(begin, end) for begin, end, _ in seen.gaps] == [(1.0, 2.0)]
    both = seen.histogram("isl")
    assert both.edges.tolist() == [2, 4, np.inf]
    assert both.counts.tolist() == [1 + 1, 2 + 0, 0 + 3]
    assert both.total == 9 + 30


def test_a_histogram_that_falls_is_a_restart() -> None:
    polls = [snapshot(0.0, [1], [5, 5], 10), snapshot(1.0, [1], [9, 4], 20)]
    assert observe(polls).windows == ()
    assert len(observe(polls).gaps) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"counters": {}},
        {"counters": None},
        {"time_s": "now"},
        {"gauges": {"running": 1.0}},
        {"histograms": {"isl": {"edges": ["+Inf"], "cumulative": [1.0, 2.0], "sum": 1.0}}},
        {"histograms": {**parse(PAGE, 1.0).as_json()["histograms"], "isl": TWO_ENDS}},
        {"cache": []},
    ],
)
def test_a_recording_that_was_changed_is_refused_at_its_line(change: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "polls.jsonl"
    line = {"format": "servecast-live/1", **parse(PAGE, 1.0).as_json()}
    file.write_text(json.dumps(line) + "\n" + json.dumps({**line, **change}) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(InputError) as refused:
        read_recording(file)
    assert refused.value.problems[0].line == 2
