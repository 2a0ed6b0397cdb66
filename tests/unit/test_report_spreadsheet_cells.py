"""Texts that a spreadsheet would compute are texts in everything that is saved for one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from simulator.report.bill_xlsx import _fill
from simulator.report.cells import as_cell, as_cells

LINK = '=HYPERLINK("http://a","b")'


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (LINK, f"'{LINK}"),
        ("@a", "'@a"),
        (" +1+cmd", "' +1+cmd"),
        ("-a", "'-a"),
        ("-4.5", "-4.5"),
        ("-1e-05", "-1e-05"),
        ("-$1,200", "-$1,200"),
        ("+12 %", "+12 %"),
        ("=5", "'=5"),
        ("-", "-"),
        ("-=1", "'-=1"),
        ("-5-3", "'-5-3"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_cell_is_no_formula(text: str, cell: str) -> None:
    assert as_cell(text) == cell


def test_a_table_keeps_its_numbers_and_loses_its_formulas() -> None:
    found = as_cells(pd.DataFrame({"model": [LINK, "a"], "usd": [-4.5, None], "met": [True, None]}))
    assert found["model"].tolist() == [f"'{LINK}", "a"]
    assert found["usd"].tolist()[0] == -4.5
    assert found.to_csv(index=False).splitlines()[2] == "a,,"


def test_the_workbook_has_the_same_rule() -> None:
    written: list[list[Any]] = []
    _fill(SimpleNamespace(append=written.append), ["figure"], [[LINK, "-a", "-4.5", 3.0, None]])
    assert written[1] == [f"'{LINK}", "'-a", "-4.5", 3.0, None]
