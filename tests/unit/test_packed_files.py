"""Office files without the clock of who wrote them: each part as old as a ZIP file can say, and its content kept."""

from __future__ import annotations

import io
import zipfile

from simulator.report.packed import with_values, without_clock


def packed(parts: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as target:
        for name, held in parts.items():
            target.writestr(zipfile.ZipInfo(name, (2026, 11, 30, 12, 34, 56)), held)
    return written.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return {part.filename: source.read(part) for part in source.infolist()}


def test_parts_and_properties_have_the_first_time_of_a_zip_file_and_are_packed() -> None:
    clock = b"<dcterms:%s xsi:type='W3CDTF'>%s</dcterms:%s>"
    now, first = (
        b"".join(clock % (name, at, name) for name in (b"created", b"modified"))
        for at in (b"2026-11-30T12:34:56Z", b"1980-01-01T00:00:00Z")
    )
    content = without_clock(packed({"docProps/core.xml": now, "word/other.xml": now, "a.xml": b"a" * 999}))
    assert parts_of(content) == {"docProps/core.xml": first, "word/other.xml": now, "a.xml": b"a" * 999}
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        assert {part.date_time for part in source.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {part.compress_type for part in source.infolist()} == {zipfile.ZIP_DEFLATED}


def test_formulas_hold_what_they_give_and_other_parts_stay() -> None:
    cells = b'<c r="A1"><f>1+1</f><v></v></c><c r="B2" s="7"><f>A1&amp;"x"</f><v/></c><c r="C3"><v>5</v></c>'
    content = packed({"xl/worksheets/sheet1.xml": cells, "xl/other.xml": cells})
    found = parts_of(with_values(content, {"xl/worksheets/sheet1.xml": {"A1": 2, "B2": "2x"}}))
    assert found["xl/worksheets/sheet1.xml"] == (
        b'<c r="A1"><f>1+1</f><v>2.0</v></c><c r="B2" s="7" t="str"><f>A1&amp;"x"</f><v>2x</v></c>'
        b'<c r="C3"><v>5</v></c>'
    )
    assert found["xl/other.xml"] == cells
