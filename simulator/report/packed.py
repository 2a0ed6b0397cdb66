"""Office files with the same bytes for the same content."""

from __future__ import annotations

import io
import re
import zipfile

_CLOCK = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*(</dcterms:)")
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
