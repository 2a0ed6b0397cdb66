"""Unknown catalog names on the command line: all at once, each at its place, with the closest match."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.catalog.gpus import gpus
from simulator.cli.main import _run
from simulator.errors import unknown_name

SMALL = Path(__file__).resolve().parents[2] / "tests/data/scenarios/small.yaml"
WRONG = {
    "model: llama-3.1-8b-instruct": "model: llama-3.1-8b-instrukt",
    "site: lambda": "site: lamda",
    "gpu: h100-sxm, autoscaler": "gpu: h100-sxn, autoscaler",
    "offer: together/llama-3.3-70b": "offer: together/llama-3.3-7ob",
}


@pytest.mark.parametrize("command", ["validate", "run"])
def test_all_unknown_names_are_reported_together(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SMALL.read_text()
    for right, wrong in WRONG.items():
        text = text.replace(right, wrong)
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    out = ["--out", str(tmp_path / "runs")] if command == "run" else []
    assert _run([command, str(path), *out]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.removeprefix("servecast: ").splitlines()
    assert len(lines) == len(WRONG)
    for right, wrong in WRONG.items():
        name, match = (part.split(",")[0].split(": ")[1] for part in (wrong, right))
        at = text.index(f" {name}") + 1
        row, column = text[:at].count("\n") + 1, at - text.rfind("\n", 0, at)
        (line,) = [line for line in lines if line.startswith(f"{path}:{row}:{column}:")]
        assert f"did you mean '{match}'?" in line
    assert not (tmp_path / "runs").exists()


def test_problems_of_all_topologies_come_together(capsys: pytest.CaptureFixture[str]) -> None:
    sets = [
        "--set",
        "topologies.own.pools[base].tensor_parallel_size=3",
        "--set",
        "topologies.mixed.pools[burst].tensor_parallel_size=5",
    ]
    assert _run(["validate", str(SMALL), *sets]) == 2
    shown = capsys.readouterr().err
    assert "topologies.own.pools[0]" in shown
    assert "topologies.mixed.pools[1]" in shown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("h200-sxm", "h200"), ("h100-sxn", "h100-sxm"), ("a100-80g", "a100-80"), ("l40x", "l40"), ("h300", "b300")],
)
def test_a_figure_of_a_name_counts_for_more_than_its_letters(typed: str, meant: str) -> None:
    assert f"did you mean {meant!r}?" in unknown_name("GPU", typed, gpus())
