"""`servecast report`: a run bundle as one HTML page, as a memo, or as a workbook of its bill."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def report(
    bundle: Path, /, *, out: Path | None = None, format: Literal["html", "md", "memo", "pdf", "docx", "xlsx"] = "html"
) -> int:
    """Write a self-contained HTML report of a run bundle, a memo, or a workbook of its bill.

    For example:

        servecast report runs/quickstart-4fb36670
        servecast report runs/quickstart-4fb36670 --format docx --out memo.docx

    Parameters
    ----------
    bundle
        Folder written by `servecast run`.
    out
        File to write; report.html, memo.md, memo.html, memo.pdf, memo.docx or bill.xlsx in the bundle unless given.
    format
        Html for the report with charts to move in; md, memo (one HTML page), pdf or docx for the memo; xlsx for the
        bill with formulas. The last three need `pip install 'servecast[memo]'`.
    """
    from simulator.results.bundle import read_bundle
    from simulator.results.files import output_file, write_bytes, write_text

    found = read_bundle(bundle)
    target = output_file(out or bundle / _NAMES[format])
    if format == "html":
        from simulator.report.html import render

        write_text(target, render(found))
    elif format == "md":
        from simulator.report.memo import memo

        write_text(target, memo(found))
    elif format == "memo":
        from simulator.report.memo_html import memo_page

        write_text(target, memo_page(found))
    elif format == "pdf":
        from simulator.report.memo_pdf import memo_pdf

        write_bytes(target, memo_pdf(found))
    elif format == "docx":
        from simulator.report.memo_docx import memo_document

        write_bytes(target, memo_document(found))
    else:
        from simulator.report.bill_xlsx import bill_workbook

        write_bytes(target, bill_workbook(found))
    print(target)
    return 0


_NAMES = {
    "html": "report.html",
    "md": "memo.md",
    "memo": "memo.html",
    "pdf": "memo.pdf",
    "docx": "memo.docx",
    "xlsx": "bill.xlsx",
}
