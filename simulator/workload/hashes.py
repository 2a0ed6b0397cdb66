"""Hashes of prompt blocks, as traces carry them: what is shared, and how many tokens a block has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.rows import fit_segments
from simulator.workload.tables import Table, problems_at

BLOCK_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""Tokens of a block that a file is looked through for."""
DEFAULT_BLOCK_TOKENS = 512
_Place = tuple[int, int, int]
"""Hashes, prompt tokens and line of a row."""
_HEXADECIMAL = re.compile(r"(?:0[xX])?[0-9a-fA-F]{4,}")


def hash_ids(table: Table) -> tuple[list[list[int]], list[Problem]]:
    """Hashes of each row, of any size and sign or hexadecimal, with a problem for each row that has no list."""
    raw = table.frame["hash_ids"]
    parse: Callable[[object], list[int] | None] = _ids_from_text if table.is_text else _ids
    empty = raw.isna()
    blocks = [[] if none else parse(value) for value, none in zip(raw, empty, strict=True)]
    bad = np.array([block is None for block in blocks])
    problems = problems_at(table, raw, bad, "hash_ids must be a list of whole numbers, or of hexadecimal ones")
    return [block or [] for block in blocks], problems


def _ids_from_text(value: object) -> list[int] | None:
    return _ids([part for part in re.split(r"[\s,;]+", str(value).strip("[] ")) if part])


def _ids(values: object) -> list[int] | None:
    if not isinstance(values, Iterable) or isinstance(values, str):
        return None
    try:
        found = [(_number(value), value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return None
    return [number for number, value in found] if all(_is_whole(value) for _, value in found) else None


def _number(value: Any) -> int:
    """Equal text is an equal number: what has digits of hexadecimal numbers is taken as its letters."""
    if isinstance(value, str) and _HEXADECIMAL.fullmatch(value) and not value.isdigit():
        return int.from_bytes(value.lower().encode(), "big")
    return int(value)


def _is_whole(value: object) -> bool:
    return not isinstance(value, float) or value.is_integer()


@dataclass
class BlockSizes:
    r"""Sizes $b$ for which every row so far has $\lceil p/b \rceil$ or $\lfloor p/b \rfloor$ hashes, $p$ its tokens.

    Rows without a hash say nothing of the size; they are prompts shorter than a block.
    """

    fit: tuple[int, ...] = (DEFAULT_BLOCK_TOKENS, *BLOCK_TOKENS)
    _worst: _Place = (0, 0, 0)
    _bare: _Place = (0, 0, 0)
    _densest: _Place = (0, 1, 0)

    def add(self, table: Table, blocks: list[list[int]], isl: NDArray[np.int32]) -> None:
        """Look at further rows."""
        counts = np.array([len(block) for block in blocks], np.int64)
        tokens = isl.astype(np.int64)
        self._note_bare(table, np.flatnonzero(counts == 0), tokens)
        rows = np.flatnonzero(counts)
        if not len(rows):
            return
        counts, tokens = counts[rows], tokens[rows]
        self.fit = tuple(
            size for size in self.fit if np.all((counts == -(-tokens // size)) | (counts == tokens // size))
        )
        worst, densest = int(np.argmax(counts)), int(np.argmax((counts - 1) / tokens))
        if counts[worst] > self._worst[0]:
            self._worst = int(counts[worst]), int(tokens[worst]), int(table.line[rows[worst]])
        if (counts[densest] - 1) / tokens[densest] > (self._densest[0] - 1) / self._densest[1]:
            self._densest = int(counts[densest]), int(tokens[densest]), int(table.line[rows[densest]])

    def _note_bare(self, table: Table, rows: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        if len(rows):
            longest = rows[int(np.argmax(tokens[rows]))]
            if tokens[longest] > self._bare[1]:
                self._bare = 0, int(tokens[longest]), int(table.line[longest])

    def size(self, file: Path, given: int | None = None) -> int:
        """The size that fits all rows, or the one that is given.

        Raises
        ------
        InputError : none fits; a row has more hashes than its prompt has blocks, or none though it has a whole block
        """
        if given is None and not self.fit:
            count, tokens, line = self._worst
            text = (
                "no block size fits the hashes of all rows: give hash_block_tokens, the tokens that one hash stands "
                f"for; as here {count} for {tokens} prompt tokens"
            )
            raise InputError(Problem(text, file=str(file), line=line))
        size = given or self.fit[0]
        for count, tokens, line in (self._densest, self._bare):
            if count > -(-tokens // size) or (count == 0 and tokens >= size and self._worst[0] > 0):
                text = (
                    f"{count} hashes for {tokens:,} prompt tokens, which are {-(-tokens // size)} blocks of {size}: "
                    "give every row those of its prompt, or leave the column out"
                )
                raise InputError(Problem(text, file=str(file), line=line))
        return size


def in_one_row(blocks: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Where those of each prompt begin, and all of them in 64 bits: what has more, or a sign, is hashed again."""
    start = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    return start, np.array([_in_64_bits(each) for block in blocks for each in block], np.uint64)


def _in_64_bits(value: int) -> int:
    if 0 <= value < 1 << 64:
        return value
    return int.from_bytes(blake2b(str(value).encode(), digest_size=8).digest(), "big")


def block_segments(
    blocks: list[list[int]], isl: NDArray[np.int32], block_tokens: int
) -> dict[str, NDArray[np.integer]]:
    """The prompts' segments: equal hashes are equal text."""
    counts = np.array([len(block) for block in blocks], np.int64)
    number = {each: k for k, each in enumerate(sorted({each for block in blocks for each in block}))}
    numbered = np.array([number[each] for block in blocks for each in block], np.int64)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tokens = np.full(len(numbered), block_tokens, np.int32)
    segment_start, segment_id, segment_tokens = fit_segments(start, numbered, tokens, isl)
    return {"segment_start": segment_start, "segment_id": segment_id, "segment_tokens": segment_tokens}
