"""The memo as a Word document; needs the extra `servecast[memo]`."""

from __future__ import annotations

import io
from typing import Any

import vl_convert

from simulator.errors import InputError
from simulator.report.blocks import Block, Bullets, Heading, Paragraph, Table
from simulator.report.memo import memo_blocks
from simulator.report.packed import without_clock
from simulator.results.bundle import Bundle

_PICTURE_SCALE = 2.0
_PICTURE_INCHES = 6.3
_TABLE_POINTS = 8
EXTRA = "needs libraries that are not installed: pip install 'servecast[memo]'"


def memo_document(bundle: Bundle) -> bytes:
    """The content of a `.docx` file.

    Raises
    ------
    InputError : a broken bundle, or `python-docx` is not installed
    """
    try:
        import docx
    except ImportError as error:
        raise InputError(f"a Word document {EXTRA}") from error
    document = docx.Document()
    for block in memo_blocks(bundle):
        _add(document, block)
    core = document.core_properties
    core.title, core.author = bundle.summary["scenario"], f"servecast {bundle.manifest['servecast']}"
    written = io.BytesIO()
    document.save(written)
    return without_clock(written.getvalue())


def _add(document: Any, block: Block) -> None:
    if isinstance(block, Heading):
        document.add_heading(block.text, level=block.level - 1)
    elif isinstance(block, Paragraph):
        document.add_paragraph().add_run(block.text).bold = block.strong
    elif isinstance(block, Bullets):
        for line in block.lines:
            document.add_paragraph(line, style="List Bullet")
    elif isinstance(block, Table):
        _add_table(document, block)
    else:
        import docx.shared

        picture = io.BytesIO(vl_convert.vegalite_to_png(block.spec, scale=_PICTURE_SCALE))
        document.add_picture(picture, width=docx.shared.Inches(_PICTURE_INCHES))
        document.add_paragraph(block.words, style="Caption")


def _add_table(document: Any, block: Table) -> None:
    import docx.shared

    table = document.add_table(rows=0, cols=len(block.headers), style="Light Grid Accent 1")
    for row in (block.headers, *block.rows):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
            for run in cell.paragraphs[0].runs:
                run.font.size = docx.shared.Pt(_TABLE_POINTS)
