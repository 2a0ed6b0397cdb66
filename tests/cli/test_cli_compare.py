"""`servecast compare` over bundles and scenario files, mixed."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from simulator.cli.main import _run

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The scenario with little traffic, and the same with another TP and another name."""
    folder = tmp_path_factory.mktemp("scenarios")
    text = SIZED.read_text().replace("rate_rps: 150", "rate_rps: 20")
    one, other = folder / "one.yaml", folder / "other.yaml"
    one.write_text(text)
    other.write_text(
        text.replace("name: sized", "name: wider").replace("name: base, ", "name: base, tensor_parallel_size: 2, ", 1)
    )
    return one, other


def test_bundles_and_scenarios_are_compared_with_what_differs(
    scenarios: tuple[Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    one, other = scenarios
    assert _run(["run", str(one), "--out", str(tmp_path)]) == 0
    (bundle,) = tmp_path.iterdir()
    capsys.readouterr()
    assert _run(["compare", str(bundle), str(other), "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    (wider,) = tmp_path.glob("wider-*")
    assert f"{bundle.name}/own" in shown
    assert f"{wider.name}/own" in shown
    _, _, table = shown.partition("in what the scenarios differ:")
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.startswith(("name", "topologies"))}
    assert rows == {"name": ["sized", "wider"], "topologies.own.pools[base].tensor_parallel_size": ["1", "2"]}


@pytest.fixture(scope="module")
def compared(scenarios: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Both scenarios compared: what is printed as JSON, and the folder of their bundles."""
    out, printed = tmp_path_factory.mktemp("compared"), io.StringIO()
    with redirect_stdout(printed):
        assert _run(["compare", *map(str, scenarios), "--out", str(out), "--format", "json"]) == 0
    return json.loads(printed.getvalue()), out


def test_json_has_the_differences(compared: tuple[Any, Path]) -> None:
    data, _ = compared
    by_path = {row["path"]: sorted(row["values"].values()) for row in data["differences"]}
    assert by_path == {"name": ["sized", "wider"], "topologies.own.pools[base].tensor_parallel_size": [1, 2]}
    assert len(data["topologies"]) == 6
    bills = {name: found["cost"]["usd_per_month"] for name, found in data["topologies"].items()}
    told = [note for note in data["why"] if " a month " in note]
    assert told
    for note in told:
        name, base = note.split(" costs ")[0], note.partition(" than ")[2].split(":")[0]
        assert base in {row["baseline"] for row in data["paired"]}
        assert ("a month more" if bills[name] > bills[base] else "a month less") in note


def test_topologies_that_served_the_same_requests_are_paired(
    scenarios: tuple[Path, Path], compared: tuple[Any, Path], tmp_path: Path, capsys: Capture
) -> None:
    pairs = compared[0]["paired"]
    (first,) = {row["baseline"] for row in pairs}
    assert first.startswith("sized-")
    assert len({row["topology"] for row in pairs}) == 5
    (money,) = [row for row in pairs if row["topology"].endswith("/own") and row["figure"] == "$ per month"]
    assert money["topology"].startswith("wider-")
    bundles = [str(path) for path in sorted(compared[1].iterdir())]
    busy = str(tmp_path / "busy.yaml")
    Path(busy).write_text(scenarios[0].read_text().replace("rate_rps: 20", "rate_rps: 25"))
    assert _run(["compare", bundles[0], busy, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("replication by replication") == 2, "other requests: each run for itself"
    head = "The runs served other requests, so none is the cheapest of all. In "
    (said,) = (line for line in " ".join(shown.split()).split(head)[1:])
    assert said.startswith(f"{Path(bundles[0]).name}: ")
    assert said.split("why:")[0].count(": the cheapest topology that meets the SLO") == 2
    assert _run(["compare", bundles[0], "--baseline", "nobody"]) == 2
    assert "unknown topology 'nobody'" in capsys.readouterr().err


def test_what_is_neither_is_refused(capsys: Capture, tmp_path: Path) -> None:
    assert _run(["compare", str(tmp_path / "nothing")]) == 2
    assert "is not a run bundle" in capsys.readouterr().err
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    assert _run(["compare", str(broken)]) == 2
    assert "not valid YAML" in capsys.readouterr().err
