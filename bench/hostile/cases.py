"""Kinds of hostile input: each makes a folder of files and the call that reads them."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import ROOT, command
from bench.hostile.bundles import bundle
from bench.hostile.chat import CHAT, LIMITS, QUIET, Kind, Run, chat_with
from bench.hostile.combine import added_up, combined
from bench.hostile.draw import drawn
from bench.hostile.kills import killed
from bench.hostile.measured import measured, profiled, watched
from bench.hostile.mutate import NUMBERS, OTHERS, at_an_edge, damaged, json_of, mutated, places, rescaled, text_of
from bench.hostile.traces import trace
from simulator.catalog.models import models
from simulator.scenario.document import read_document


@cache
def _scenarios() -> dict[str, Any]:
    """Shipped scenarios by their place below `scenarios/`."""
    files = [
        file for file in sorted((ROOT / "scenarios").rglob("*.yaml")) if file.parent.name not in ("overlays", "sweeps")
    ]
    return {str(file.relative_to(ROOT / "scenarios")): read_document(file).data for file in files}


def scenario(rng: Random, folder: Path) -> Run:
    """A shipped scenario with values of another type, size or place, checked."""
    name, tree = rng.choice(sorted(_scenarios().items()))
    shutil.copytree(ROOT / "scenarios" / "traffic", folder / "traffic")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if rng.random() < 0.15:
        target.write_bytes(damaged((ROOT / "scenarios" / name).read_bytes(), rng))
    else:
        target.write_text(text_of(mutated(tree, rng)))
    return command("validate", str(target), *(("--resolved",) if rng.random() < 0.2 else ()))


def assignment(rng: Random, folder: Path) -> Run:
    """A `--set` or an overlay with any value at any place, or none."""
    name, tree = rng.choice(sorted(_scenarios().items()))
    where = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in rng.choice(list(places(tree)))
    ).lstrip(".")
    value = text_of(rng.choice((*NUMBERS, *OTHERS)))
    if rng.random() < 0.5:
        sets = [
            f"{where}={value}",
            rng.choice(("run.seed=3", where, f"{where}.x=1", "=", f"{where}[0]={value}", "a.b.c=1")),
        ]
        return command("validate", str(ROOT / "scenarios" / name), *(f"--set={each}" for each in sets))
    overlay = folder / "overlay.yaml"
    overlay.write_text(text_of(mutated(tree, rng)))
    return command("validate", str(ROOT / "scenarios" / name), "--overlay", str(overlay))


def valid(rng: Random, folder: Path) -> Run:
    """A scenario drawn from the schema, run in full."""
    return _run(folder, drawn(rng, folder))


def extreme(rng: Random, folder: Path) -> Run:
    """A scenario drawn from the schema with a number at the edge of what numbers may be, run in full."""
    return _run(folder, at_an_edge(drawn(rng, folder), rng))


def _run(folder: Path, tree: Any) -> Run:
    file = folder / "drawn.yaml"
    file.write_text(text_of(tree))
    options = ("--search-seconds", "2", "--max-replicas", "4")
    run = command("run", str(file), "--out", str(folder / "runs"), *QUIET, *options, *LIMITS)
    return added_up(run, folder / "runs")


def altered(rng: Random, folder: Path) -> Run:
    """A small scenario with a few changes, run in full where it is taken."""
    tree = rescaled(CHAT, rng) if rng.random() < 0.8 else mutated(CHAT, rng, 2)
    if isinstance(tree, dict) and isinstance(tree.get("run"), dict) and rng.random() < 0.3:
        tree["run"]["keep_requests"] = False
    return _run(folder, tree)


def config(rng: Random, folder: Path) -> Run:
    """A Hugging Face config.json with wrong values, planned and used by a scenario."""
    entry = models()[rng.choice(sorted(models()))]
    content = json_of(mutated(entry.config, rng))
    (folder / "config.json").write_bytes(content if rng.random() < 0.9 else damaged(content, rng))
    if rng.random() < 0.6:
        return command(
            "memory",
            str(folder / "config.json"),
            "--gpu",
            rng.choice(("h100-sxm", "b200", "l4")),
            "--tp",
            rng.choice("1248"),
        )
    return chat_with(folder, {"model": "config.json"})


def hardware(rng: Random, folder: Path) -> Run:
    """A file of one's own GPUs."""
    own = _scenarios()["onprem/own-gpu.yaml"]["topologies"]["limited"]["pools"][0]["hardware"]
    if rng.random() < 0.5:
        (folder / "gpu.yaml").write_text(text_of(mutated({"like": "rtx-5090", **own}, rng)))
        return command("memory", "qwen3-14b", "--gpu", str(folder / "gpu.yaml"))
    (folder / "gpu.yaml").write_text(text_of(mutated(own, rng)))
    pool = CHAT["topologies"]["own"]["pools"][0] | {"gpu": "rtx-5090", "hardware": "gpu.yaml"}
    return chat_with(folder, {"topologies": {"own": {"pools": [pool]}}})


@cache
def _profile() -> dict[str, Any]:
    from calibrate.fit.profile_file import FORMAT
    from simulator.catalog.profiles import COEFFICIENTS

    return {
        "format": FORMAT,
        "name": "mine",
        "gpu": "h100-sxm",
        "engine": {"tp": 1, "pp": 1, "dtype": "bf16"},
        "model": {},
        "coefficients": dict.fromkeys(COEFFICIENTS, 1e-4) | {"sharpness": 2.0},
        "correction": {"tokens": [1, 100, 8192], "ratio": [1.0, 1.1, 1.0]},
        "capture_sizes": [1, 2, 4, 8, 256],
        "ranges": {"tokens": [1, 8192], "sequences": [1, 256], "context": [1, 8192]},
        "errors": {"held_out": {"all": {"points": 3, "median": 0.01, "p90": 0.1, "bias": 0.0}}},
        "between_steps_s": 1e-4,
        "between_sequence_s": 1e-6,
        "request_overhead_s": 1e-3,
    }


def profile(rng: Random, folder: Path) -> Run:
    """A measured profile with wrong values."""
    content = json_of(mutated(_profile(), rng))
    (folder / "profile.json").write_bytes(content if rng.random() < 0.85 else damaged(content, rng))
    own = {"own": CHAT["topologies"]["own"]}
    return chat_with(
        folder,
        {"engine": {"max_model_len": 8192, "profile": "profile.json"}, "topologies": own},
        run=rng.random() < 0.3,
    )


def description(rng: Random, folder: Path) -> Run:
    """A traffic description with wrong values, run."""
    content = json_of(mutated(_description(), rng))
    (folder / "traffic.json").write_bytes(content if rng.random() < 0.9 else damaged(content, rng))
    cls = CHAT["workload"]["classes"][0] | {"arrivals": {"kind": "profile", "file": "traffic.json"}}
    cls = {key: value for key, value in cls.items() if key != "lengths"}
    return chat_with(folder, {"workload": {"classes": [cls]}}, run=True)


@cache
def _description() -> Any:
    return json.loads((ROOT / "scenarios" / "traffic" / "mooncake-synthetic.json").read_text())


def sweep(rng: Random, folder: Path) -> Run:
    """A sweep file with wrong values."""
    (folder / "chat.yaml").write_text(text_of(CHAT))
    tree = mutated({"scenario": "chat.yaml", "grid": {"run.seed": [1, 2], "engine.max_num_seqs": [8]}}, rng)
    (folder / "sweep.yaml").write_text(text_of(tree))
    return command("sweep", str(folder / "sweep.yaml"), "--out", str(folder / "runs"), "--jobs", "1", "--quiet")


def recording(rng: Random, folder: Path) -> Run:
    """A recording of vLLM's scheduler with wrong values, replayed by the plain-Python engine."""
    file = rng.choice(sorted((ROOT / "tests" / "data" / "vllm-schedule-traces").glob("*.json")))
    content = (
        json_of(mutated(json.loads(file.read_text()), rng)) if rng.random() < 0.8 else damaged(file.read_bytes(), rng)
    )
    (folder / file.name).write_bytes(content)
    return command("verify", "schedule", str(folder / file.name), "--engine", rng.choice(("reference", "both")))


def options(rng: Random, folder: Path) -> Run:
    """Options of commands with numbers and places that are none."""
    (folder / "chat.yaml").write_text(text_of(CHAT))
    number = str(rng.choice((0, -1, 1, 10**12, 10**400, 0.5, "nan", "inf", "x", "")))
    place = str(
        rng.choice((folder / "no" / "such", folder / "chat.yaml", "/proc/nothing", "/dev/null", "x" * 300, folder))
    )
    chat = str(folder / "chat.yaml")
    return command(
        *rng.choice(
            (
                ("run", chat, "--out", place, *QUIET),
                ("run", place, *QUIET),
                ("run", chat, "--max-replicas", number, "--out", str(folder / "runs"), "--quiet"),
                ("run", chat, "--search-seconds", number, "--out", str(folder / "runs"), "--quiet", "--jobs", "1"),
                ("validate", chat, "--overlay", place),
                ("sweep", chat, "--grid", f"run.seed={number}", "--out", place, "--jobs", "1", "--quiet"),
                ("memory", "qwen3-14b", "--gpu", "h100-sxm", "--tp", number),
                ("memory", "qwen3-14b", "--gpu", "h100-sxm", "--max-model-len", number),
                ("memory", "qwen3-14b", "--gpu", "h100-sxm", "--max-num-seqs", number),
                ("memory", "qwen3-14b", "--gpu", "h100-sxm", "--gpu-memory-utilization", number),
                ("memory", "qwen3-14b", "--gpu", place),
                ("memory", place, "--gpu", "h100-sxm"),
                ("memory", "--table", place),
                ("memory", "--compare", place),
                ("traces", place),
                ("traces", str(ROOT / "tests/data/traces/table.csv"), "--bin-s", number),
                ("traces", str(ROOT / "tests/data/traces/table.csv"), "--write", place),
                ("compare", place),
                ("report", place),
                ("steps", place),
                ("catalog", number),
                ("explain", number),
                ("new", place, "--users", number, "--no-ask"),
                ("new", str(folder / "new.yaml"), "--model", place, "--no-ask"),
                ("verify", "schedule", place),
                ("verify", "versions", place),
            )
        )
    )


def special(rng: Random, folder: Path) -> Run:
    """A folder, FIFO, self-link, device or unreadable name where a file belongs."""
    place = folder / "place"
    match rng.randrange(5):
        case 0:
            place.mkdir()
        case 1:
            os.mkfifo(place)
        case 2:
            place.symlink_to("place")
        case 3:
            place.symlink_to("/dev/zero")
        case _:
            place.write_bytes(b"\0" * 100)
    (folder / "chat.yaml").write_text(text_of(CHAT))
    name = str(place)
    chat = str(folder / "chat.yaml")
    kinds = (
        ("validate", name),
        ("validate", chat, "--overlay", name),
        ("validate", chat, "--set=model=place"),
        ("validate", chat, "--set=engine.profile=place"),
        ("validate", chat, "--set=topologies.own.pools[base].hardware=place"),
        ("validate", chat, "--set=workload.classes[0].arrivals={kind: trace, file: place}"),
        ("validate", chat, "--set=workload.classes[0].arrivals={kind: profile, file: place}"),
        ("validate", chat, "--set=workload.classes[0].lengths.isl={kind: empirical, file: place, column: x}"),
        ("memory", name, "--gpu", "h100-sxm"),
        ("memory", "qwen3-14b", "--gpu", name),
        ("memory", "--table", name),
        ("memory", "--compare", name),
        ("traces", name),
        ("compare", name),
        ("report", name),
        ("verify", "schedule", name),
        ("sweep", name, "--quiet", "--jobs", "1"),
        ("run", chat, "--out", name, *QUIET),
    )
    return command(*rng.choice(kinds))


KINDS: dict[str, tuple[Kind, float]] = {
    "scenario": (scenario, 4.0),
    "assignment": (assignment, 1.0),
    "valid": (valid, 2.0),
    "combined": (combined, 1.0),
    "extreme": (extreme, 1.0),
    "altered": (altered, 2.0),
    "config": (config, 3.0),
    "hardware": (hardware, 1.0),
    "profile": (profile, 1.0),
    "trace": (trace, 1.5),
    "description": (description, 1.0),
    "sweep": (sweep, 0.5),
    "recording": (recording, 0.7),
    "options": (options, 0.7),
    "bundle": (bundle, 2.0),
    "measured": (measured, 0.5),
    "profiled": (profiled, 0.5),
    "watched": (watched, 0.7),
    "special": (special, 0.7),
    "killed": (killed, 0.2),
}
"""Kinds, and how often each comes beside the others."""
