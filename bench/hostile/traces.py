"""Traces with whatever a log may have."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import ROOT, command
from bench.hostile.chat import CHAT, Run, chat_with
from bench.hostile.mutate import damaged, mutated


def trace(rng: Random, folder: Path) -> Run:
    """A trace in any of its forms, broken."""
    file = rng.choice(sorted((ROOT / "tests" / "data" / "traces").iterdir()))
    name = rng.choice((file.name, "t.csv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.gz", "t.csv.xz", "t.csv.bz2"))
    (folder / name).write_bytes(_table(rng, file, name))
    if rng.random() < 0.6:
        return command("traces", str(folder / name))
    cls = CHAT["workload"]["classes"][0] | {"arrivals": {"kind": "trace", "file": name, "loop": rng.random() < 0.5}}
    return chat_with(folder, {"workload": {"classes": [cls]}}, run=True)


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
