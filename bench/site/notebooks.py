"""A notebook as a page: words, code, and what each cell shows when it is executed here and now.

nbconvert would start a kernel of Jupyter, which nothing else here needs, and show charts by scripts from another host.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any


def page_of(notebook: Path) -> str:
    """Markdown of `notebook`, its cells executed one after another in an empty folder."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    known: dict[str, Any] = {}
    parts = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for cell in cells:
                text = "".join(cell["source"])
                if cell["cell_type"] == "markdown":
                    parts.append(text)
                else:
                    parts += [f"```python\n{text}\n```", *_shown(text, notebook.name, known)]
        finally:
            os.chdir(before)
    return "\n\n".join(parts) + "\n"


def _shown(cell: str, name: str, known: dict[str, Any]) -> list[str]:
    """What is printed, and the value of the last expression as a notebook displays it."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, name, "exec"), known)
        value = eval(compile(ast.Expression(last.value), name, "eval"), known) if isinstance(last, ast.Expr) else None
    told = printed.getvalue().rstrip()
    return ([f"```text\n{told}\n```"] if told else []) + ([displayed(value)] if value is not None else [])


def displayed(value: Any) -> str:
    """Charts as SVG, tables as HTML, else as text."""
    if hasattr(value, "to_dict") and hasattr(value, "mark_line"):
        import vl_convert

        spec = json.loads(json.dumps(value.to_dict(), default=str), parse_constant=lambda _: None)
        return f"<div>{vl_convert.vegalite_to_svg(spec)}</div>"
    if hasattr(value, "_repr_html_"):
        rows = re.sub(r"<style.*?</style>", "", value._repr_html_(), flags=re.S)
        return re.sub(r"\s*\n\s*", "", f"<div>{rows}</div>")
    return f"```text\n{value!r}\n```"
