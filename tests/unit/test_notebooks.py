"""docs/notebooks: every cell runs, one after another, in an empty folder, and says what its words promise."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import simulator

FOLDER = Path(__file__).resolve().parents[2] / "docs/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def executed(notebook: Path) -> tuple[dict[str, Any], list[Any]]:
    """Names that are known at the end, and what each cell shows: the value of its last expression."""
    known: dict[str, Any] = {}
    shown = []
    for number, cell in enumerate(code(notebook)):
        tree, name = ast.parse(cell), f"{notebook.name}, cell {number}"
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), known)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), name, "eval"), known))
    return known, [value for value in shown if value is not None]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def displays(value: Any) -> bool:
    """Whether a notebook shows more of it than its `repr`."""
    return hasattr(value, "_repr_html_") or hasattr(value, "_repr_mimebundle_")


@pytest.mark.exhaustive
def test_three_gpus_are_compared_for_a_log() -> None:
    known, shown = executed(FOLDER / "three-gpus-for-your-log.ipynb")
    run, log = known["run"], known["log"]
    assert len(known["scenario"].scenario.topologies) == 3
    assert all(map(displays, shown))
    assert len(shown) == 7
    requests = run.table("requests")
    for _, mine in requests.groupby("topology"):
        assert mine.sort_values("request")["isl"].tolist() == log["prompt"].tolist(), "the log is what is served"
    table = shown[3]
    kept = table[table["slo_met"]]
    assert run.decision["winners"]
    assert kept["usd_per_month"].idxmin() in run.decision["winners"]


@pytest.mark.exhaustive
def test_a_loop_sweeps_and_plots() -> None:
    known, shown = executed(FOLDER / "a-sweep-in-a-loop.ipynb")
    sweep = known["sweep"]
    assert len(sweep) == 8
    at_most = sweep.pivot_table(index="rate_rps", columns="max_num_seqs", values="ttft_p95_s")
    assert at_most[32].is_monotonic_increasing
    assert (at_most[256] <= at_most[32]).all(), "more at a time wait less for their turn"
    assert known["last"][32] < known["last"][256]
    assert all(map(displays, shown))
    assert known["base"].scenario.engine.max_num_seqs is None, "the original stays as it is"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_alone(notebook: Path) -> None:
    assert len(NOTEBOOKS) == 2
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.ImportFrom):
                assert node.module == "simulator"
                assert {name.name for name in node.names} <= {*dir(simulator)}
            elif isinstance(node, ast.Import):
                assert {name.name for name in node.names} <= {"altair", "numpy", "pandas"}
