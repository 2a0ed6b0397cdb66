"""Office files with the same bytes for the same content."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from functools import partial

_CLOCK = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(</dcterms:)")
_FORMULA = re.compile(rb'<c r="([A-Z]+[0-9]+)"((?: s="[0-9]+")?)><f>([^<]*)</f><v ?(?:/>|></v>)</c>')
"""A cell whose formula has no value yet."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DATED = b"1980-01-01T00:00:00Z"


def without_clock(content: bytes) -> bytes:
    """An office file (`.xlsx`, `.docx`) whose parts and properties have the first time that a ZIP file knows.

    Libraries that write such files put the wall clock into both.
    """
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        for part in source.infolist():
            packed = zipfile.ZipInfo(part.filename, _EPOCH)
            packed.compress_type = zipfile.ZIP_DEFLATED
            held = source.read(part)
            if part.filename == "docProps/core.xml":
                held = _CLOCK.sub(rb"\g<1>" + _DATED + rb"\g<2>", held)
            target.writestr(packed, held)
    return written.getvalue()


def with_values(content: bytes, values: Mapping[str, Mapping[str, float | str]]) -> bytes:
    """An `.xlsx` file whose formulas hold what they give, for viewers that compute nothing.

    Parameters
    ----------
    values : by part of the file, as `xl/worksheets/sheet1.xml`, and by cell
    """
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        for part in source.infolist():
            held = source.read(part)
            if part.filename in values:
                held = _FORMULA.sub(partial(_valued, values[part.filename]), held)
            target.writestr(part, held)
    return written.getvalue()


def _valued(values: Mapping[str, float | str], cell: re.Match[bytes]) -> bytes:
    name, style, formula = cell.groups()
    value = values[name.decode()]
    kind, text = (b' t="str"', value) if isinstance(value, str) else (b"", repr(float(value)))
    return b'<c r="%s"%s%s><f>%s</f><v>%s</v></c>' % (name, style, kind, formula, text.encode())
