"""Options of commands whose numbers and places are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.cli.main import run_command

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("run {} --explore-s nan", "--explore-s"),
        ("run {} --explore-s -1", "--explore-s"),
        ("run {} --explore-s inf", "--explore-s"),
        ("plan {} --spare 1025", "--spare"),
        ("plan {} --time-limit 1e308", "--time-limit"),
        ("plan {} --memory-limit 1e290", "--memory-limit"),
    ],
)
def test_options_out_of_range_are_refused_by_name(
    capsys: pytest.CaptureFixture[str], arguments: str, option: str
) -> None:
    assert run_command(arguments.format(SIZED).split()) == 2
    assert capsys.readouterr().err.startswith(f"servecast: {option}: must be ")


def test_a_link_that_leads_nowhere_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "mine.yaml"
    link.symlink_to("gone.yaml")
    assert run_command(["new", str(link), "--users", "5", "--no-ask"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert link.is_symlink()


@pytest.mark.parametrize(("jobs", "told"), [("0", "--jobs: must be at least 1"), ("1", "No such file")])
def test_one_process_is_the_fewest_of_a_run(
    jobs: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", str(tmp_path / "none.yaml"), "--jobs", jobs]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data_class", "told"),
    [("confidential", "! left out: openai/gpt-4o-mini, which may not take confidential data"), ("public", "")],
)
def test_new_says_which_place_it_leaves_out(
    data_class: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rate-rps", "2", "--offer", "openai/gpt-4o-mini", "--data-class", data_class, "--no-ask"]
    assert run_command(["new", str(tmp_path / "new.yaml"), *given]) == 0
    said = capsys.readouterr().out
    assert said.count("left out") == bool(told)
    assert said.startswith(told or f"{tmp_path / 'new.yaml'} is written")
