"""What was measured, or watched, with wrong values: recorded runs, profile folders, metrics pages."""

from __future__ import annotations

import json
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from bench.hostile.attempt import ROOT, command
from bench.hostile.chat import Run
from bench.hostile.mutate import damaged, json_of, mutated

VALUES = ("NaN", "-1", "+Inf", "-Inf", "1e400", "1e18", "0", "x", "", "0x10", "1 2 3", "\x1b[31m", "9" * 400)
_READINGS = 6


@cache
def _measured() -> Any:
    """A recorded run with fewer steps and requests, so that a case takes no second."""
    tree = json.loads((ROOT / "tests" / "data" / "vllm-runs" / "small-llama-cpu.json").read_text())
    tree["profile_steps"] = tree["profile_steps"][::7]
    tree["runs"] = [{**run, "requests": run["requests"][:40]} for run in tree["runs"][:1]]
    return tree


def measured(rng: Random, folder: Path) -> Run:
    """A measured run, fitted and compared."""
    content = json_of(mutated(_measured(), rng))
    (folder / "run.json").write_bytes(content if rng.random() < 0.85 else damaged(content, rng))
    if rng.random() < 0.5:
        return command("verify", "latency", str(folder / "run.json"))
    return command("calibrate", "fit", str(folder / "run.json"), "--out", str(folder / "profile.json"))


def profiled(rng: Random, folder: Path) -> Run:
    """A folder of `calibrate profile`, fitted."""
    import pandas as pd

    run = _measured()
    rows = [
        (number, step["tag"], 0, step["dur_s"], step.get("gap_s"), *entry)
        for number, step in enumerate(run["profile_steps"])
        for entry in step["batch"]
    ]
    names = ["step", "tag", "repeat", "dur_s", "gap_s", "tokens", "computed_before"]
    table = pd.DataFrame(rows, columns=names)
    meta = {key: run[key] for key in ("vllm_version", "model", "config")} | {
        "status": "partial",
        "device": "cpu",
        "points": {"measured": 3, "failed": []},
        "design": {"points": 5, "repeats": 2},
    }
    match rng.randrange(3):
        case 0:
            meta = mutated(meta, rng)
        case 1:
            column = rng.choice(names)
            table[column] = rng.choice((table[column].astype(str), -table["dur_s"], float("nan"), 10**15, None, True))
        case _:
            table = rng.choice((table.head(0), table.head(3), table.drop(columns=rng.choice(names))))
    place = folder / "steps"
    place.mkdir()
    (place / "meta.json").write_bytes(json_of(meta))
    table.to_parquet(place / "steps.parquet")
    if rng.random() < 0.2:
        file = rng.choice((place / "meta.json", place / "steps.parquet"))
        file.write_bytes(damaged(file.read_bytes(), rng))
    return command("calibrate", "fit", str(place), "--out", str(folder / "profile.json"))


def watched(rng: Random, folder: Path) -> Run:
    """Metrics pages of a server that sends anything, or a recording of them."""
    _write_profile(folder)
    options = ("--profile", str(folder / "profile.json"), "--out", str(folder / "watch"))
    pages = [_page(k) for k in range(_READINGS)]
    if rng.random() < 0.4:
        lines = [json.dumps(_reading(page, 1.7e9 + k)) for k, page in enumerate(pages)]
        place = rng.randrange(len(lines))
        lines[place] = json_of(mutated(json.loads(lines[place]), rng)).decode()
        content = "\n".join(lines).encode()
        (folder / "polls.jsonl").write_bytes(content if rng.random() < 0.8 else damaged(content, rng))
        return command("calibrate", "live", "--from", str(folder / "polls.jsonl"), *options)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(pages))
        pages[place] = _spoilt(pages[place], rng)
    return _served(pages, *options, "--period-s", "0.05", "--duration-s", "0.25")


def _write_profile(folder: Path) -> None:
    from calibrate.fit.profile_file import FORMAT

    limits = {key: _measured()["config"][key] for key in ("num_gpu_blocks", "block_size")}
    engine = {**limits, "max_num_batched_tokens": 2048, "max_num_seqs": 64, "max_model_len": 8192}
    names = ("host_s", "weights_s", "token_s", "sequence_s", "prefill_attn_s", "decode_attn_s")
    value = {
        "format": FORMAT,
        "name": "mine",
        "gpu": None,
        "device": "cpu",
        "vllm_version": "0.32.0",
        "model": {},
        "engine": {**engine, "tp": 1, "pp": 1, "dtype": "bf16"},
        "coefficients": dict.fromkeys(names, 1e-6) | {"sharpness": 2.0},
        "correction": {"tokens": [], "ratio": []},
        "capture_sizes": [],
        "ranges": {"tokens": [1, 2048], "sequences": [1, 64]},
        "errors": {"in_sample": {}, "held_out": {}},
        "between_steps_s": 0.0,
        "between_sequence_s": 0.0,
        "request_overhead_s": 0.0,
        "expected_error": None,
        "sources": {},
    }
    (folder / "profile.json").write_bytes(json_of(value))


def _page(reading: int) -> str:
    """What vLLM shows after so many readings of steady traffic."""
    from calibrate.live.scrape import COUNTERS, GAUGES, HISTOGRAMS

    done = 40 * reading
    label = 'model_name="m",engine="0"'
    lines = [f"{name}{{{label}}} {300 * done}" for name in COUNTERS.values()]
    lines += [f"{name}{{{label}}} {0.5 * (reading % 2)}" for name in GAUGES.values()]
    for name in HISTOGRAMS.values():
        ends = (("0.01", done // 2), ("1.0", done), ("+Inf", done))
        lines += [f'{name}_bucket{{{label},le="{end}"}} {count}' for end, count in ends]
        lines += [f"{name}_sum{{{label}}} {0.02 * done}", f"{name}_count{{{label}}} {done}"]
    return "\n".join([*lines, 'vllm:cache_config_info{block_size="16",num_gpu_blocks="4000"} 1', ""])


def _reading(page: str, time_s: float) -> dict[str, Any]:
    from calibrate.live.poll import FORMAT
    from calibrate.live.scrape import parse

    return {"format": FORMAT, **parse(page, time_s).as_json()}


def _spoilt(page: str, rng: Random) -> str:
    lines = page.splitlines() or [""]
    place = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            del lines[place]
        case 1 | 2:
            lines[place] = f"{lines[place].rpartition(' ')[0]} {rng.choice(VALUES)}"
        case 3:
            lines[place] = lines[place].replace('le="', rng.choice(('le="x', 'le="-', 'LE="', 'le="9')))
        case 4:
            lines += [line.replace('"m"', '"other"') for line in lines]
        case 5:
            return _page(0)
        case _:
            return damaged(page.encode(), rng).decode("utf-8", "replace")
    return "\n".join([*lines, ""])


def _served(pages: list[str], *options: str) -> Run:
    def run() -> int:
        left = list(pages)

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = (left.pop(0) if len(left) > 1 else left[0]).encode("utf-8", "replace")
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Answer) as server:
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            try:
                return command("calibrate", "live", f"http://127.0.0.1:{server.server_port}", *options)()
            finally:
                server.shutdown()

    return run
