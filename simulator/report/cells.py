"""Texts of whoever wrote a run, as cells of tables that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_OPENING = ("=", "+", "-", "@")
_HARMLESS = re.compile(r"\s*([-+=@]+|[-+] ?(\$?\d[\d,.]*(e[-+]?\d+)?|inf)( ?%)?)\s*", re.IGNORECASE)
"""Signs alone, as of a value that is absent; numbers with their sign, as shares and money too."""


def as_cell(text: str) -> str:
    """The same text with an apostrophe before it where a spreadsheet would take it for a formula."""
    if text.lstrip().startswith(_OPENING) and not _HARMLESS.fullmatch(text):
        return f"'{text}"
    return text


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with every text as `as_cell` gives it, and every number as it is."""

    def safe(cell: Any) -> Any:
        return as_cell(cell) if isinstance(cell, str) else cell

    return table.map(safe)
