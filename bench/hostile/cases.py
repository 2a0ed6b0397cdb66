"""Kinds of hostile input: each makes a folder of files and the call that reads them."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import ROOT, command
from bench.hostile.draw import drawn
from bench.hostile.mutate import NUMBERS, OTHERS, damaged, json_of, mutated, places, rescaled, text_of
from simulator.catalog.models import models
from simulator.scenario.document import read_document

Run = Callable[[], int]
Kind = Callable[[Random, Path], Run]

CHAT: dict[str, Any] = {
    "schema_version": 1,
    "name": "chat",
    "model": "llama-3.1-8b-instruct",
    "engine": {"max_model_len": 8192},
    "workload": {
        "classes": [
            {
                "name": "chat",
                "arrivals": {"kind": "poisson", "rate_rps": 3.0},
                "lengths": {"isl": 300, "osl": 40},
                "slo": {"ttft_s": {"p99": 1.0}},
            }
        ]
    },
    "topologies": {
        "own": {"pools": [{"name": "base", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned"}]},
        "api": {"providers": [{"name": "api", "offer": "together/llama-3.3-70b"}]},
    },
    "study": {"months": 6},
    "cost": {"draws": 20},
    "run": {"horizon_s": 20, "replications": 2},
}
LIMITS = ("--time-limit", "15", "--memory-limit", "1.5")
QUIET = ("--quiet", "--fresh", "--no-advice", "--jobs", "1")


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
    file = folder / "drawn.yaml"
    file.write_text(text_of(drawn(rng, folder)))
    return command(
        "run", str(file), "--out", str(folder / "runs"), *QUIET, "--search-seconds", "2", "--max-replicas", "4", *LIMITS
    )


def altered(rng: Random, folder: Path) -> Run:
    """A small scenario with a few changes, run in full where it is taken."""
    tree = rescaled(CHAT, rng) if rng.random() < 0.8 else mutated(CHAT, rng, 2)
    if isinstance(tree, dict) and isinstance(tree.get("run"), dict) and rng.random() < 0.3:
        tree["run"]["keep_requests"] = False
    file = folder / "chat.yaml"
    file.write_text(text_of(tree))
    return command(
        "run", str(file), "--out", str(folder / "runs"), *QUIET, "--search-seconds", "2", "--max-replicas", "4", *LIMITS
    )


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
    return _with(folder, {"model": "config.json"})


def hardware(rng: Random, folder: Path) -> Run:
    """A file of one's own GPUs."""
    own = _scenarios()["onprem/own-gpu.yaml"]["topologies"]["limited"]["pools"][0]["hardware"]
    if rng.random() < 0.5:
        (folder / "gpu.yaml").write_text(text_of(mutated({"like": "rtx-5090", **own}, rng)))
        return command("memory", "qwen3-14b", "--gpu", str(folder / "gpu.yaml"))
    (folder / "gpu.yaml").write_text(text_of(mutated(own, rng)))
    pool = CHAT["topologies"]["own"]["pools"][0] | {"gpu": "rtx-5090", "hardware": "gpu.yaml"}
    return _with(folder, {"topologies": {"own": {"pools": [pool]}}})


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
    return _with(
        folder,
        {"engine": {"max_model_len": 8192, "profile": "profile.json"}, "topologies": own},
        run=rng.random() < 0.3,
    )


def trace(rng: Random, folder: Path) -> Run:
    """A trace in any of its forms, broken."""
    file = rng.choice(sorted((ROOT / "tests" / "data" / "traces").iterdir()))
    name = rng.choice((file.name, "t.csv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.gz", "t.csv.xz", "t.csv.bz2"))
    (folder / name).write_bytes(_table(rng, file, name))
    if rng.random() < 0.6:
        return command("traces", str(folder / name))
    cls = CHAT["workload"]["classes"][0] | {"arrivals": {"kind": "trace", "file": name, "loop": rng.random() < 0.5}}
    return _with(folder, {"workload": {"classes": [cls]}}, run=True)


def _table(rng: Random, file: Path, name: str) -> bytes:
    if file.name == name:
        return damaged(file.read_bytes(), rng)
    rows = [
        {
            "arrival_s": 0.5 * k,
            "input_tokens": 50 + k,
            "output_tokens": 5,
            "class": "chat",
            "session_id": k % 3,
            "hash_ids": [k % 2],
        }
        for k in range(12)
    ]
    keys = rng.sample(list(rows[0]), rng.randint(3, 6))
    rows = [{key: row[key] for key in ("arrival_s", "input_tokens", "output_tokens", *keys)} for row in rows]
    tree = mutated(rows, rng) if rng.random() < 0.8 else rows
    rows = [row for row in tree if isinstance(row, dict)] if isinstance(tree, list) else []
    content = _packed(rows, name)
    return damaged(content, rng) if rng.random() < 0.3 else content


def _packed(rows: list[Any], name: str) -> bytes:
    import bz2
    import lzma

    import pandas as pd

    if ".jsonl" in name:
        content = "\n".join(json.dumps(row) for row in rows).encode()
    else:
        frame = pd.DataFrame(rows)
        if name.endswith(".parquet"):
            held = io.BytesIO()
            try:
                frame.to_parquet(held)
            except Exception:
                frame.astype(str).to_parquet(held)
            return held.getvalue()
        content = frame.to_csv(index=False).encode("utf-8", "replace")
    ending = name.rpartition(".")[2]
    return {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}.get(ending, lambda same: same)(content)


def description(rng: Random, folder: Path) -> Run:
    """A traffic description with wrong values, run."""
    content = json_of(mutated(_description(), rng))
    (folder / "traffic.json").write_bytes(content if rng.random() < 0.9 else damaged(content, rng))
    cls = CHAT["workload"]["classes"][0] | {"arrivals": {"kind": "profile", "file": "traffic.json"}}
    cls = {key: value for key, value in cls.items() if key != "lengths"}
    return _with(folder, {"workload": {"classes": [cls]}}, run=True)


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


BUNDLES: list[Path] = []
"""A sound bundle, made once, that others are damaged copies of."""


def bundle(rng: Random, folder: Path) -> Run:
    """A damaged run bundle, read by every command and by the dashboard's loaders."""
    place = folder / "bundle"
    shutil.copytree(_sound(folder), place)
    for _ in range(rng.randint(1, 2)):
        _damage(place, rng)
    others = ("report", "--format", "md"), ("report", "--format", "html"), ("steps",), ("compare",), ("verify bundle",)
    chosen = rng.choice((*others, ("dashboard",)))
    match chosen[0]:
        case "report":
            return command("report", str(place), *chosen[1:], "--out", str(folder / "written"))
        case "verify bundle":
            return command("verify", "bundle", str(place))
        case "dashboard":
            return _loaders(place)
        case name:
            return command(name, str(place))


def _sound(folder: Path) -> Path:
    if not BUNDLES:
        file = folder / "sound.yaml"
        tree = json.loads(json.dumps(CHAT))
        tree["cost"]["draws"] = 50
        file.write_text(text_of(tree))
        command("run", str(file), "--out", str(folder.parent / "sound"), *QUIET)()
        BUNDLES.append(next((folder.parent / "sound").iterdir()))
    return BUNDLES[0]


def _damage(place: Path, rng: Random) -> None:
    files = sorted(file for file in place.rglob("*") if file.is_file() and not file.is_symlink())
    if not files:
        return
    file = rng.choice([each for each in files if each.suffix in (".json", ".parquet")] or files)
    match rng.randrange(8):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.mkdir()
        case 2:
            file.unlink()
            file.symlink_to(file.name)
        case 3:
            file.write_bytes(damaged(file.read_bytes(), rng))
        case 4:
            import pandas as pd

            file.unlink()
            pd.DataFrame({"x": []}).to_parquet(file.with_suffix(".parquet"))
        case 5:
            file.write_bytes(rng.choice(files).read_bytes())
        case _ if file.suffix == ".json":
            try:
                tree = json.loads(file.read_bytes())
            except ValueError:
                return
            file.write_bytes(json_of(mutated(tree, rng)))
        case _:
            file.write_bytes(b"")


def _loaders(place: Path) -> Run:
    def read() -> int:
        from dashboard.loading import decision, open_bundle, resolved, table
        from dashboard.settings import bundle_folders, named_folders
        from simulator.cli.problems import in_words
        from simulator.errors import InputError

        named_folders((str(place.parent),))
        bundle_folders((str(place),))
        try:
            found = open_bundle(place)
            decision(found)
            resolved(found)
            for name in ("costs", "latency", "fleet", "demand", "events", "requests"):
                table(found, name)
        except InputError as error:
            print(in_words(error))
            return 2
        return 0

    return read


def _with(folder: Path, changes: dict[str, Any], run: bool = False) -> Run:
    file = folder / "chat.yaml"
    file.write_text(text_of(CHAT | changes))
    if run:
        return command("run", str(file), "--out", str(folder / "runs"), *QUIET)
    return command("validate", str(file))


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
    "special": (special, 0.7),
}
"""Kinds, and how often each comes beside the others."""
