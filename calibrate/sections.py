"""Generated sections of documents: text between two markers is replaced, the rest stays."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from simulator.results.files import write_text

PROSE_COLUMNS = 100


def write_section(path: Path, begin: str, end: str, section: str, title: str) -> None:
    """Replace what stands between the markers `begin` and `end` of a document; append both where it has none.

    A document that does not exist starts with `title`. Prose is wrapped at 100 columns. Written atomically.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else f"{title}\n{begin}\n{end}\n"
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    write_text(path, f"{before}{begin}\n\n{_wrapped(section)}\n{end}{after}")


def _wrapped(section: str) -> str:
    """Paragraphs and items of lists wrapped; tables, headings and the rest as they are."""
    blocks = []
    for block in section.split("\n\n"):
        if re.match(r"[|#<$]|```", block.lstrip("\n")):
            blocks.append(block)
            continue
        items = re.split(r"\n(?=- )", block)
        filled = [
            textwrap.fill(
                item,
                PROSE_COLUMNS,
                subsequent_indent="  " if item.startswith("- ") else "",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for item in items
        ]
        blocks.append("\n".join(filled))
    return "\n\n".join(blocks).rstrip("\n") + "\n"
