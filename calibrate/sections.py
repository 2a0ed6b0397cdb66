"""Generated sections of documents: text between two markers is replaced, the rest stays."""

from __future__ import annotations

from pathlib import Path

from simulator.results.files import write_text


def write_section(path: Path, begin: str, end: str, section: str, title: str) -> None:
    """Replace what stands between the markers `begin` and `end` of a document; append both where it has none.

    A document that does not exist starts with `title`. Written atomically.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else f"{title}\n{begin}\n{end}\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    write_text(path, f"{before}{begin}\n\n{section}\n{end}{after}")
