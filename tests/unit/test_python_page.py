"""docs/python.md: every block runs, one after another, and what it relies on is public."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import simulator
from simulator import InputError, load_scenario

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "tests/data/scenarios/dashboard.yaml"
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.M | re.S)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    said = []
    for block in BLOCKS:
        exec(compile(block, "docs/python.md", "exec"), known)
        said.append(capsys.readouterr().out)
    assert len(said) == 9
    assert "run.horizon_s" in said[1]
    assert "engine.max_num_seqs" in said[1]
    *found, wrong = said[2].splitlines()
    assert found == ["mine l40s", "mine h100-sxm"]
    assert wrong == "mapping: engine.max_num_seq: unknown key 'max_num_seq': did you mean 'max_num_seqs'?"
    assert said[3].split()[-3:] == ["1.1", "1500", "200"]
    assert "cheapest topology" in said[4] or "No topology" in said[4]
    assert (tmp_path / "ttft.html").is_file()
    assert known["short"].scenario.run.horizon_s == 120  # type: ignore[attr-defined]


def test_public_names_are_listed_and_there() -> None:
    assert set(dir(simulator)) == set(simulator.__all__)
    for name in simulator.__all__:
        assert getattr(simulator, name).__name__ == name
    imported = {
        name.strip()
        for line in re.findall(r"from simulator import (.*)", "\n".join(BLOCKS))
        for name in line.split(",")
    }
    assert imported <= set(dir(simulator))
    assert (Path(simulator.__file__).parent / "py.typed").is_file()


def test_a_copy_has_its_own_values_and_leaves_the_original() -> None:
    loaded = load_scenario(SCENARIO, sets=["run.seed=5"])
    before = loaded.scenario
    changed = loaded.with_("run.seed=6", "topologies.own.pools[base].replicas=3")
    assert (changed.scenario.run.seed, changed.scenario.topologies["own"].pools[0].replicas) == (6, 3)
    assert loaded.scenario == before
    assert loaded.document.data["topologies"]["own"]["pools"][0]["replicas"] == 1
    assert (
        load_scenario(SCENARIO, sets=["run.seed=6", "topologies.own.pools[base].replicas=3"]).scenario
        == changed.scenario
    )
    assert changed.with_().scenario == changed.scenario
    with pytest.raises(InputError, match=r"--set run\.horizon_s=-1"):
        loaded.with_("run.horizon_s=-1")


@pytest.mark.parametrize("wrong", [["run.seed=3"], {"run": {"seed": 3}}, 3])
def test_a_list_where_texts_belong_is_refused(wrong: Any) -> None:
    loaded = load_scenario(SCENARIO)
    with pytest.raises(TypeError, match=r"an assignment is a text, as 'run\.seed=3'"):
        loaded.with_(wrong)
    with pytest.raises(TypeError, match=r"an assignment is a text, as 'run\.seed=3'"):
        load_scenario(SCENARIO, sets=[wrong])
    with pytest.raises(TypeError, match="only takes names of topologies, each by itself"):
        loaded.only(wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"sets": "run.seed=3"}, {"overlays": "a.yaml"}, {"overlays": Path("a.yaml")}, {"overlays": {"run": {"seed": 3}}}],
)
def test_one_text_where_a_list_belongs_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="in brackets"):
        load_scenario(SCENARIO, **wrong)  # type: ignore[arg-type]
