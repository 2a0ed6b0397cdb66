"""Office files hold no wall-clock time."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import docx
import openpyxl
import pytest

from simulator.report.packed import with_values, without_clock


def workbook(changed: datetime) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["on_prem", 50_400.0, "=A1"])
    book.properties.created = changed
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def later(content: bytes) -> bytes:
    """The same file, each of whose parts was packed two seconds later."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        for part in source.infolist():
            target.writestr(zipfile.ZipInfo(part.filename, (2027, 1, 1, 0, 0, 2)), source.read(part))
    return written.getvalue()


def test_workbooks_of_two_times_are_the_same_bytes() -> None:
    one, two = workbook(datetime(2026, 1, 1)), later(workbook(datetime(2027, 1, 1, 0, 0, 2)))
    assert one != two
    assert without_clock(one) == without_clock(two)
    book = openpyxl.load_workbook(io.BytesIO(without_clock(one)))
    assert [cell.value for cell in book.active[1]] == ["on_prem", 50_400.0, "=A1"]


def test_documents_of_two_times_are_the_same_bytes() -> None:
    document, written = docx.Document(), io.BytesIO()
    document.add_paragraph("cloud costs least")
    document.save(written)
    assert without_clock(written.getvalue()) == without_clock(later(written.getvalue()))
    again = docx.Document(io.BytesIO(without_clock(written.getvalue())))
    assert [paragraph.text for paragraph in again.paragraphs] == ["cloud costs least"]


def test_formulas_hold_numbers_and_text() -> None:
    book = openpyxl.Workbook()
    book.active.append([2, "=A1*3", '=IF(A1>9,A1,"")'])
    book.active["B1"].number_format = "0%"
    written = io.BytesIO()
    book.save(written)
    content = with_values(written.getvalue(), {"xl/worksheets/sheet1.xml": {"B1": 6.0, "C1": ""}})
    shown, kept = (openpyxl.load_workbook(io.BytesIO(content), data_only=only).active for only in (True, False))
    assert [cell.value for cell in shown[1]] == [2, 6, None]
    assert [cell.value for cell in kept[1]] == [2, "=A1*3", '=IF(A1>9,A1,"")']
    assert kept["B1"].number_format == "0%"
    with pytest.raises(KeyError):
        with_values(written.getvalue(), {"xl/worksheets/sheet1.xml": {"B1": 6.0}})
