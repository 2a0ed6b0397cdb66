"""The digest of compiled kernels covers every file that a kernel can read, and none that only plain Python reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import simulator
from simulator import jit
from simulator.jit import kernel_sources

ROOT = Path(simulator.__file__).parent


def imported(path: Path) -> Iterator[Path]:
    """Files of the package that a file imports, at its head or in a function, modules taken from packages included."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            place = ROOT.parent.joinpath(*name.split("."))
            yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def test_what_a_kernel_source_imports_is_one() -> None:
    found = set(kernel_sources())
    wanted = {file for path in found for file in imported(path) if file.stat().st_size > 0}
    assert len(wanted) > 30
    assert wanted <= found


def test_every_file_with_kernels_is_one() -> None:
    marks = {"kernel", "inline_kernel", "shared_kernel", "array_kernel", "entry", "array_entry"}
    holding = {
        path
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id in marks for mark in node.decorator_list)
    }
    assert len(holding) > 30
    assert holding <= set(kernel_sources())


def test_files_that_only_python_reads_are_none() -> None:
    rooms = {path.relative_to(ROOT).parts[0] for path in kernel_sources()}
    files = {"by_reference.py", "endings.py", "interpreted.py", "jit.py", "linked_kernels.py", "units.py"}
    assert rooms == {"engine", "fleet", "study", "workload"} | files
    assert {path.name for path in kernel_sources() if path.parent.name == "workload"} == {"prefix_rings.py"}


def test_imports_of_every_form_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "kernels.py": "from simulator import base\nfrom simulator.room import (\n    far,\n    near,\n)\n@kernel\n",
        "room/far.py": "def g():\n    from simulator.room.deep.late import h\n",
        "room/near.py": "",
        "room/deep/late.py": "",
        "base.py": "",
        "room/other.py": "from simulator.room import near\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(jit, "_ROOT", tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in kernel_sources()}
    assert found == set(texts) - {"room/other.py"}
