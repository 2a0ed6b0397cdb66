"""Hashes of prompt blocks, as traces carry them: what is shared, and how many tokens a block has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.rows import fit_segments
from simulator.workload.tables import Table, problems_at

BLOCK_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""Tokens of a block that a file is looked through for."""
DEFAULT_BLOCK_TOKENS = 512


def hash_ids(table: Table) -> tuple[list[list[int]], list[Problem]]:
    """Hashes of each row, of any size and sign, with a problem for each row that has no list of whole numbers."""
    raw = table.frame["hash_ids"]
    parse: Callable[[object], list[int] | None] = _ids_from_text if table.is_text else _ids
    blocks = [parse(value) for value in raw]
    bad = np.array([block is None for block in blocks])
    problems = problems_at(table, raw, bad, "hash_ids must be a list of whole numbers")
    return [block or [] for block in blocks], problems


def _ids_from_text(value: object) -> list[int] | None:
    return _ids([part for part in re.split(r"[\s,;]+", str(value).strip("[] ")) if part])


def _ids(values: object) -> list[int] | None:
    if not isinstance(values, Iterable) or isinstance(values, str):
        return None
    try:
        found = [(int(value), value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None
    return [number for number, value in found] if all(_is_whole(value) for _, value in found) else None


def _is_whole(value: object) -> bool:
    return not isinstance(value, float) or value.is_integer()


def block_segments(
    table: Table, blocks: list[list[int]], isl: NDArray[np.int32], block_tokens: int | None
) -> tuple[int, dict[str, NDArray[np.integer]]]:
    """Tokens of a block, as said or as the file tells, and the prompts' segments: equal hashes are equal text.

    Raises
    ------
    InputError : no number of tokens fits all rows, and none was said
    """
    counts = np.array([len(block) for block in blocks], np.int64)
    size = block_tokens or _tokens_of_a_block(table, counts, isl)
    number = {each: k for k, each in enumerate(sorted({each for block in blocks for each in block}))}
    numbered = np.array([number[each] for block in blocks for each in block], np.int64)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tokens = np.full(len(numbered), size, np.int32)
    segment_start, segment_id, segment_tokens = fit_segments(start, numbered, tokens, isl)
    return size, {"segment_start": segment_start, "segment_id": segment_id, "segment_tokens": segment_tokens}


def _tokens_of_a_block(table: Table, counts: NDArray[np.int64], isl: NDArray[np.int32]) -> int:
    r"""The size $b$ for which every row has $\lceil p/b \rceil$ or $\lfloor p/b \rfloor$ hashes; $p$ are its tokens."""
    has = counts > 0
    if not has.any():
        return DEFAULT_BLOCK_TOKENS
    counts, tokens = counts[has], isl[has].astype(np.int64)
    for size in (DEFAULT_BLOCK_TOKENS, *BLOCK_TOKENS):
        if np.all((counts == -(-tokens // size)) | (counts == tokens // size)):
            return size
    worst = int(np.argmax(counts))
    text = (
        "no block size fits the hashes of all rows: give hash_block_tokens, the tokens that one hash stands for; as "
        f"here {counts[worst]} for {tokens[worst]} prompt tokens"
    )
    raise InputError(Problem(text, file=str(table.file), line=int(table.line[np.flatnonzero(has)[worst]])))
