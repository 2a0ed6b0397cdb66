"""Files of traces as tests write them, and what their prompts share."""

from __future__ import annotations

import gzip
from pathlib import Path

from simulator.workload.requests import Requests

TRACES = Path(__file__).resolve().parent / "data" / "traces"
HEADER = "arrival_s,input_tokens,output_tokens"


def written(folder: Path, name: str, text: str) -> Path:
    """A file with this text, packed where its name says so."""
    file = folder / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text)
    return file


def segments(requests: Requests, row: int) -> list[tuple[int, int]]:
    """Pieces of content of a prompt, each with its tokens."""
    span = slice(requests.segment_start[row], requests.segment_start[row + 1])
    return list(zip(requests.segment_id[span].tolist(), requests.segment_tokens[span].tolist(), strict=True))
