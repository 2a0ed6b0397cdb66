"""The memo as a PDF document; needs the extra `servecast[memo]`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import vl_convert

from simulator.errors import InputError
from simulator.report.blocks import Block, Bullets, Heading, Paragraph, Table
from simulator.report.memo import memo_blocks
from simulator.report.memo_docx import EXTRA
from simulator.results.bundle import Bundle

_PLAIN, _BOLD = "Vera", "VeraBd"
_MARGIN_POINTS = 50
_SIZES_POINTS = {1: 18, 2: 13, 3: 11}
_TEXT_POINTS = 9
_CELL_POINTS = 7
_LEADING = 1.35
_PICTURE_SCALE = 2.0
_CELL_LETTERS = (6, 40)
"""A column is as wide as the longest of its texts, within these many letters, and all share the page."""


def memo_pdf(bundle: Bundle) -> bytes:
    """The content of a `.pdf` file, the same for the same bundle; letters that the font lacks are question marks.

    Raises
    ------
    InputError : a broken bundle, or `reportlab` is not installed
    """
    try:
        import reportlab
        from reportlab.lib.pagesizes import A4
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont
        from reportlab.platypus import SimpleDocTemplate
    except ImportError as error:
        raise InputError(f"a PDF document {EXTRA}") from error
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (_PLAIN, _BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    known = pdfmetrics.getFont(_PLAIN).face.charToGlyph
    written = io.BytesIO()
    document = SimpleDocTemplate(
        written,
        pagesize=A4,
        leftMargin=_MARGIN_POINTS,
        rightMargin=_MARGIN_POINTS,
        topMargin=_MARGIN_POINTS,
        bottomMargin=_MARGIN_POINTS,
        title=bundle.summary["scenario"],
        author=f"servecast {bundle.manifest['servecast']}",
        invariant=1,
    )
    parts = [part for block in memo_blocks(bundle) for part in _parts(block, document.width, partial(_known, known))]
    document.build(parts, onFirstPage=_numbered, onLaterPages=_numbered)
    return written.getvalue()


def _known(letters: Any, text: str) -> str:
    return escape("".join(letter if ord(letter) in letters or letter == "\n" else "?" for letter in text))


def _style(size_points: int, bold: bool = False, **more: Any) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    font = _BOLD if bold else _PLAIN
    return ParagraphStyle("", fontName=font, fontSize=size_points, leading=_LEADING * size_points, **more)


def _parts(block: Block, width_points: float, shown: Any) -> list[Any]:
    from reportlab.platypus import Image, ListFlowable, Spacer
    from reportlab.platypus import Paragraph as Lines

    if isinstance(block, Heading):
        size = _SIZES_POINTS[block.level]
        return [Lines(shown(block.text), _style(size, True, spaceBefore=size, spaceAfter=4, keepWithNext=1))]
    if isinstance(block, Paragraph):
        return [Lines(shown(block.text), _style(_TEXT_POINTS, block.strong, spaceAfter=6))]
    if isinstance(block, Bullets):
        lines = [Lines(shown(line), _style(_TEXT_POINTS)) for line in block.lines]
        return [ListFlowable(lines, bulletType="bullet", start="•", leftIndent=12), Spacer(1, 6)]
    if isinstance(block, Table):
        return [_table(block, width_points, shown), Spacer(1, 8)]
    picture = Image(io.BytesIO(vl_convert.vegalite_to_png(block.spec, scale=_PICTURE_SCALE)))
    picture.drawWidth, picture.drawHeight = width_points, width_points * picture.imageHeight / picture.imageWidth
    return [picture, Lines(shown(block.words), _style(_CELL_POINTS, spaceAfter=8))]


def _table(block: Table, width_points: float, shown: Any) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Paragraph as Lines
    from reportlab.platypus import Table as Grid

    plain, bold = _style(_CELL_POINTS), _style(_CELL_POINTS, True)
    rows = [[Lines(shown(text), bold) for text in block.headers]]
    rows += [[Lines(shown(text), plain) for text in row] for row in block.rows]
    style = [
        ("LINEBELOW", (0, 0), (-1, 0), 1, HexColor("#999999")),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [HexColor("#ffffff"), HexColor("#f5f7f9")]),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
    ]
    return Grid(rows, colWidths=_widths(block, width_points), style=style, repeatRows=1)


def _widths(block: Table, width_points: float) -> list[float]:
    columns: Sequence[Sequence[str]] = list(zip(block.headers, *block.rows, strict=True))
    least, most = _CELL_LETTERS
    letters = [min(max(least, *map(len, column)), most) for column in columns]
    return [width_points * each / sum(letters) for each in letters]


def _numbered(canvas: Any, document: Any) -> None:
    canvas.setFont(_PLAIN, _CELL_POINTS)
    canvas.drawRightString(document.pagesize[0] - _MARGIN_POINTS, _MARGIN_POINTS / 2, str(document.page))
