"""Random requests that use the modes of their engine, and what happens to them from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibrate.experiments.edge_requests import edge_rows

_SHARED_SEGMENTS = 1
_PRIVATE_SEGMENTS = 10_000
_PICTURES = 8
_TRANSFER_STEPS = (0, 1, 2, 5, 20)
_OFFLOAD_LIMITS = ("max_load_tokens", "max_offload_tokens")
Row = dict[str, Any]


def draw_requests(
    draw: np.random.Generator, modes: Sequence[str], engine: Row, capacity: int, edges: bool = False
) -> list[Row]:
    """Requests in bursts and in trickles with shared beginnings; each fits an engine of `capacity` tokens alone.

    Parameters
    ----------
    edges : at the limits of their engine, which may compute prompts and answer those of others at the same time
    """
    by_priority = "priority" in modes
    rows = edge_rows(draw, by_priority, engine, capacity) if edges else _plain(draw, by_priority, capacity)
    if "parallel-sampling" in modes:
        rows = _parallel(draw, rows, (1, 2, 4))
    if "many-samples" in modes:
        rows = _parallel(draw, rows[:12], (1, 11, 14))
    if "late-arrivals" in modes:
        _come_late(draw, rows)
    for row in rows:
        if "nixl-prefill" in modes:
            row |= _sent(draw)
        _content(draw, modes, row)
        if "stop" in modes and draw.random() < 0.6:
            row["stop_after"] = int(draw.integers(1, row["osl"] + 1))
        if "grammar" in modes and draw.random() < 0.5:
            row["grammar_ready_step"] = row["arrival_step"] + int(draw.choice([0, 1, 3, 12, 40]))
        if engine.get("data_parallel_size"):
            ranks = engine["data_parallel_size"]
            row["rank"] = 0 if draw.random() < 0.5 else int(draw.integers(ranks))
        _transfer(draw, modes, row)
        if edges and "nixl-decode" in modes and draw.random() < 0.15:
            row |= _sent(draw)
    if engine.get("speculative"):
        _acceptance(draw, modes, rows, engine["speculative"]["num_speculative_tokens"])
    return rows


def draw_events(draw: np.random.Generator, modes: Sequence[str], requests: Sequence[Row]) -> list[Row]:
    """Clients that leave, before or within an iteration, and resets of the prefix cache."""
    events: list[Row] = []
    if "abort" in modes:
        left: dict[tuple[int, str], list[int]] = {}
        for row in requests:
            if draw.random() < 0.35:
                step = row["arrival_step"] + int(draw.choice([1, 2, 5, 20, 60]))
                left.setdefault((step, str(draw.choice(["before", "during"]))), []).append(row["id"])
        events += [{"step": step, "when": when, "abort": ids} for (step, when), ids in left.items()]
    if "reset" in modes:
        last = requests[-1]["arrival_step"] + 40
        kinds = ("idle", "running")
        events += [
            {"step": int(step), "reset_prefix_cache": str(draw.choice(kinds))}
            for step in sorted(set(draw.integers(5, last, size=8).tolist()))
        ]
        if "offload" in modes:
            resets = [event for event in events if "reset_prefix_cache" in event]
            for event in resets:
                event["reset_connector"] = bool(draw.random() < 0.6)
    return sorted(events, key=lambda event: event["step"])


def _plain(draw: np.random.Generator, by_priority: bool, capacity: int) -> list[Row]:
    mean_isl = max(2.0, min(capacity * float(np.exp(draw.uniform(np.log(0.05), np.log(0.5)))), 250.0))
    mean_osl = float(np.exp(draw.uniform(np.log(3), np.log(50))))
    gap = float(draw.choice([0.2, 1.2, 1.2, 4.0]))
    shared = float(draw.choice([0.2, 0.6, 0.9]))
    beginnings = [int(draw.integers(2, 3 + int(1.5 * mean_isl))) for _ in range(5)]
    rows: list[Row] = []
    arrival = 0
    for number in range(int(draw.integers(20, 70))):
        arrival += int(draw.poisson(gap)) if draw.random() > 0.35 else 0
        prompt = []
        if draw.random() < shared:
            which = int(draw.integers(len(beginnings)))
            prompt.append([_SHARED_SEGMENTS + which, max(1, min(beginnings[which], capacity // 2))])
        used = sum(tokens for _, tokens in prompt)
        length = max(1, min(int(draw.geometric(1 / mean_isl)), capacity - used - 2))
        if not prompt or draw.random() > 0.25:
            prompt.append([_PRIVATE_SEGMENTS + number, length])
        isl = sum(tokens for _, tokens in prompt)
        osl = max(1, min(int(draw.geometric(1 / mean_osl)), capacity - isl))
        priority = int(draw.integers(0, 3)) if by_priority else 0
        rows.append({"id": number, "arrival_step": arrival, "prompt": prompt, "osl": osl, "priority": priority})
    return rows


def _parallel(draw: np.random.Generator, parents: Sequence[Row], sizes: Sequence[int]) -> list[Row]:
    """n > 1: children of one request have its prompt and its arrival; vLLM names them `index_parent`.

    Parameters
    ----------
    sizes : answers that a request may ask for
    """
    rows: list[Row] = []
    for parent in parents:
        many = int(draw.choice(sizes))
        name = str(parent["id"] + 100)
        for index in range(many):
            row = {**parent, "id": len(rows), "name": name, "arrival_order": parent["id"]}
            rows.append(row | ({"name": f"{index}_{name}", "n_parent": parent["id"]} if many > 1 else {}))
    return rows


def _come_late(draw: np.random.Generator, rows: Sequence[Row]) -> None:
    """Clients' requests reach the engine in another order than that in which the API noted their arrival."""
    noted: dict[int, float] = {}
    for row in rows:
        number = int(row["arrival_order"] if "arrival_order" in row else row["id"])
        if number not in noted:
            noted[number] = round(number + float(draw.uniform(-8.0, 8.0)), 3)
        row["arrival_order"] = noted[number]


def _content(draw: np.random.Generator, modes: Sequence[str], row: Row) -> None:
    if "salt" in modes and (salt := str(draw.choice(["", "a", "b"]))):
        row["salt"] = salt
    if "lora" in modes and draw.random() < 0.8:
        row["lora"] = int(draw.integers(1, 7))
    if "encoder" in modes and draw.random() < 0.6:
        total, at = sum(tokens for _, tokens in row["prompt"]), 0
        images = []
        for _ in range(int(draw.integers(1, 4))):
            picture = int(draw.integers(_PICTURES))
            size = 20 + 9 * picture
            offset = at + int(draw.integers(0, 20))
            if offset + size > total:
                break
            images.append([offset, size, f"picture{picture}"])
            at = offset + size
        if images:
            row["images"] = images


def _transfer(draw: np.random.Generator, modes: Sequence[str], row: Row) -> None:
    if "nixl-decode" in modes and draw.random() < 0.8:
        row |= {"transfer": {"do_remote_prefill": True}, "load_steps": int(draw.choice(_TRANSFER_STEPS))}
    if "offload" in modes:
        row |= {"load_steps": int(draw.choice(_TRANSFER_STEPS)), "store_steps": int(draw.choice(_TRANSFER_STEPS))}
        limits = {name: int(draw.integers(0, 120)) for name in _OFFLOAD_LIMITS if draw.random() < 0.1}
        if limits:
            row["transfer"] = limits
    if "store" in modes and draw.random() < 0.6:
        total = sum(tokens for _, tokens in row["prompt"])
        stored = int(draw.integers(0, total + 1))
        row["transfer"] = {"stored_tokens": stored, "async_load": bool(draw.random() < 0.5)}
        row["load_steps"] = int(draw.choice(_TRANSFER_STEPS))


def _sent(draw: np.random.Generator) -> Row:
    """A prompt that is computed here and answered elsewhere."""
    return {"osl": 1, "transfer": {"do_remote_decode": True}, "send_steps": int(draw.choice(_TRANSFER_STEPS))}


def _acceptance(draw: np.random.Generator, modes: Sequence[str], rows: Sequence[Row], k: int) -> None:
    """Whether the draft of each output position is right; n-grams find none, some or all of their drafts."""
    share = float(draw.uniform(0.3, 0.9))
    for row in rows:
        reach = row["osl"] + k + 1
        row["accept"] = "".join("1" if draw.random() < share else "0" for _ in range(reach))
        if {"ngram", "suffix"} & set(modes) and "async" not in modes:
            row["drafts"] = "".join(str(int(draw.choice([0, 0, 1, k, k]))) for _ in range(reach))
