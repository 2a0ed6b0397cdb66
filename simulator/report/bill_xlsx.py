"""The bill of a run as a workbook whose sums are formulas; needs the extra `servecast[memo]`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from simulator.bill.unused import UNUSED, unused_share
from simulator.errors import InputError
from simulator.figures.table import figure
from simulator.money import converted, in_sign, rate_words, shown_in
from simulator.report.cells import as_cell
from simulator.report.memo_docx import EXTRA
from simulator.report.packed import with_values, without_clock
from simulator.report.table import comparison, ordered
from simulator.results.bundle import Bundle
from simulator.units import TOKENS_PER_MILLION

BILL, SUMMARY, FIGURES, SOURCES = "Bill", "Summary", "Figures", "Sources"


def bill_workbook(bundle: Bundle) -> bytes:
    """The content of an `.xlsx` file.

    `Bill` has a row for each line: change a quantity or a price, and the line, `Summary` and its unit prices follow.
    `Figures` is the comparison as it was run, `Sources` what each price was taken from.

    Raises
    ------
    InputError : a broken bundle, or `openpyxl` is not installed
    """
    try:
        import openpyxl
    except ImportError as error:
        raise InputError(f"a workbook {EXTRA}") from error
    book = openpyxl.Workbook()
    summary, bill = book.active, book.create_sheet(BILL)
    summary.title = SUMMARY
    with shown_in(bundle.summary.get("currency")):
        lines = _fill_bill(bill, bundle)
        totals = _fill_summary(summary, bundle, len(lines) + 1)
        names, headers = comparison(ordered(bundle.summary))
    _fill(book.create_sheet(FIGURES), ["figure", *headers[1:]], names)
    _fill(book.create_sheet(SOURCES), ("topology", "figure", "value", "unit", "date", "source"), _sources(bundle))
    for sheet in book.worksheets:
        _lay_out(sheet)
    written = io.BytesIO()
    book.save(written)
    parts = {f"xl/worksheets/sheet{k}.xml": cells for k, cells in enumerate((totals, lines), start=1)}
    return without_clock(with_values(written.getvalue(), parts))


def _bill_headers() -> tuple[str, ...]:
    line = ("topology", "owner", "category", "part", "quantity per month", "unit")
    return (*line, in_sign("$ per unit"), figure("usd_per_month").label, "used")


def _summary_headers() -> tuple[str, ...]:
    bill, token, unused = (figure(name).label for name in ("usd_per_month", "usd_per_million_tokens", "unused_share"))
    return "topology", bill, "delivered tokens per month", token, unused


def _fill_bill(sheet: Any, bundle: Bundle) -> dict[str, float | str]:
    """Lines of every topology, a row each; returns what their formulas give, by cell."""
    sheet.append(_bill_headers())
    costs = bundle.table("costs")
    columns = ["topology", "owner", "category", "part", "quantity", "unit", "usd_per_month"]
    number, values = 1, dict[str, float | str]()
    for *texts, quantity, unit, usd in costs[columns].itertuples(index=False):
        number, cost = number + 1, converted(usd)
        safe = [as_cell(str(text)) for text in texts]
        price = cost / quantity if quantity else cost
        amount = quantity if quantity else 1.0
        used = 0 if safe[3] in UNUSED else 1
        sheet.append([*safe, float(amount), as_cell(str(unit)), float(price), f"=E{number}*G{number}", used])
        values[f"H{number}"] = float(amount) * float(price)
    return values


def _fill_summary(sheet: Any, bundle: Bundle, last: int) -> dict[str, float | str]:
    """A row for each topology; returns what the formulas give, by cell."""
    sheet.append(_summary_headers())
    costs, values = bundle.table("costs"), dict[str, float | str]()
    for row, (name, found) in enumerate(ordered(bundle.summary).items(), start=2):
        lines = f"{BILL}!A$2:A${last},A{row},{BILL}!H$2:H${last}"
        paid = f'SUMIFS({BILL}!H$2:H${last},{BILL}!A$2:A${last},A{row},{BILL}!H$2:H${last},">0")'
        unused = f"SUMIFS({BILL}!H$2:H${last},{BILL}!A$2:A${last},A{row},{BILL}!I$2:I${last},0)"
        tokens = found["cost"]["tokens_per_month"]
        mine = costs[costs["topology"] == name]
        bill = converted(float(mine["usd_per_month"].sum()))
        share = unused_share(zip(mine["part"], mine["usd_per_month"], strict=True))
        values[f"B{row}"] = bill
        values[f"D{row}"] = bill / tokens * TOKENS_PER_MILLION if tokens > 0 else ""
        values[f"E{row}"] = "" if share is None else share
        sheet.append(
            [
                as_cell(name),
                f"=SUMIF({lines})",
                tokens,
                f'=IF(C{row}>0,B{row}/C{row}*{TOKENS_PER_MILLION:.0f},"")',
                f'=IF({paid}>0,{unused}/{paid},"")',
            ]
        )
        sheet[f"E{row}"].number_format = "0%"
        sheet[f"D{row}"].number_format = "#,##0.000"
        sheet[f"B{row}"].number_format = sheet[f"C{row}"].number_format = "#,##0"
    sheet.append([])
    sheet.append([f"{figure('usd_per_month').label}: {figure('usd_per_month').meaning}. Sums follow the sheet {BILL}."])
    if rate := rate_words():
        sheet.append([rate])
    return values


def _sources(bundle: Bundle) -> list[list[Any]]:
    figures = bundle.figures
    keys = ("id", "value", "unit", "date", "source")
    return [
        [name, *(one.get(key) for key in keys)] for name in bundle.summary["order"] for one in figures.get(name, ())
    ]


def _fill(sheet: Any, headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    sheet.append(list(headers))
    for row in rows:
        sheet.append([as_cell(cell) if isinstance(cell, str) else _plain(cell) for cell in row])


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else str(value)


def _lay_out(sheet: Any) -> None:
    from openpyxl.styles import Font

    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "B2"
    for column in sheet.columns:
        longest = max(len(str(cell.value)) for cell in list(column)[:200] if cell.value is not None)
        sheet.column_dimensions[column[0].column_letter].width = min(max(longest + 2, 10), 60)
