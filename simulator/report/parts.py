"""Plain tables, on a narrow terminal in parts, one below the other."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from tabulate import MIN_PADDING, tabulate

GAP = "  "
"""Between two columns."""
_LEAST = 12
"""Characters of a line of a wrapped cell, however narrow the terminal is."""


def in_parts(
    rows: Sequence[Sequence[Any]], headers: Sequence[str], width: int = sys.maxsize, align: Sequence[str] | None = None
) -> str:
    """A table in parts that fit into `width` characters, each with the first column; cells that do not are wrapped.

    Parameters
    ----------
    align : of each column, "left" or "right"; all left unless given
    """
    if width != sys.maxsize:
        rows = wrapped_cells(rows, headers, width)
    align = align or ["left"] * len(headers)
    return "\n\n".join(_table(rows, headers, columns, align) for columns in folded(rows, headers, width))


def folded(rows: Sequence[Sequence[Any]], headers: Sequence[str], width: int) -> list[list[int]]:
    """Columns of each part of a table, so that it fits into `width` characters; the first and at least one more."""
    widths = [_width(headers, rows, column) + len(GAP) for column in range(len(headers))]
    parts = [[0]]
    for column in range(1, len(headers)):
        if len(parts[-1]) > 1 and sum(widths[each] for each in (*parts[-1], column)) - len(GAP) > width:
            parts.append([0])
        parts[-1].append(column)
    return parts


def wrapped_cells(rows: Sequence[Sequence[Any]], headers: Sequence[str], width: int) -> list[list[str]]:
    """Rows whose cells, all but the first, are in lines that fit beside that one into `width` characters."""
    most = max(width - _width(headers, rows, 0) - len(GAP), *(len(header) + MIN_PADDING for header in headers), _LEAST)
    return [[str(first), *(_in_lines(str(cell), most) for cell in rest)] for first, *rest in rows]


def _in_lines(text: str, most: int) -> str:
    return text if len(text) <= most else textwrap.fill(text, most, break_on_hyphens=False)


def _width(headers: Sequence[str], rows: Sequence[Sequence[Any]], column: int) -> int:
    """Of a column as it is printed: its header, which is padded, or the widest line of its cells."""
    lines = (line for row in rows for line in str(row[column]).split("\n"))
    return max(len(headers[column]) + MIN_PADDING, *map(len, lines), 0)


def _table(rows: Sequence[Sequence[Any]], headers: Sequence[str], columns: Sequence[int], align: Sequence[str]) -> str:
    return tabulate(
        [[row[column] for column in columns] for row in rows],
        headers=[headers[column] for column in columns],
        tablefmt="simple",
        disable_numparse=True,
        colalign=[align[column] for column in columns] if rows else None,
    )
