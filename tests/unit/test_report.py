"""The HTML report of a small run: self-contained, complete, the same bytes for the same bundle."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cli.report import _NAMES, report
from simulator.errors import InputError
from simulator.report.decision import PAIR_HEADERS
from simulator.report.html import render
from simulator.results.bundle import read_bundle
from simulator.results.seal import ADDED
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SMALL = Path(__file__).resolve().parents[1] / "data/scenarios/small.yaml"


def test_what_the_command_writes_into_a_bundle_is_no_stranger_there() -> None:
    assert set(_NAMES.values()) == set(ADDED)


def test_the_report_holds_everything_and_is_reproducible(tmp_path: Path) -> None:
    run = simulate(load_scenario(SMALL, sets=["run.replications=1", "run.horizon_s=60"]), tmp_path)
    page = render(read_bundle(run.bundle))
    report(run.bundle, out=tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text() == page
    with pytest.raises(InputError, match=r"a\.html: cannot be written"):
        report(run.bundle, out=tmp_path / "missing" / "a.html")
    for words in (
        run.summary["verdict"],
        "expected error (median)",
        "$ per 1M tokens",
        "Cumulative spending",
        "# default",
    ):
        assert words in page
    assert "<script src" not in page
    assert page.count("vegaEmbed(&#34;") == 0
    assert page.count('vegaEmbed("#chart-') == 9
    assert page.count('vegaEmbed("#money-') == 3
    described = re.findall(r'role="img" aria-label="([^"]+)" id="(?:chart|money)-', page)
    assert len(described) == 9 + 3
    assert {"Where the money goes", "Time to first token"} <= {*described}
    assert "<summary>Values: Time to first token</summary>" in page
    assert "Why not the others, and from when" in page
    assert f"<th>{PAIR_HEADERS[2]}</th>" in page
    for words in ("Money: how sure", "2,000 draws", "a month more than", "moves no price"):
        assert words in page


@pytest.mark.exhaustive
def test_words_of_a_run_load_no_library_of_charts() -> None:
    words = "import sys, simulator.run.simulate, simulator.report.screen, simulator.report.decision"
    told = subprocess.run(
        [sys.executable, "-c", f"{words}; print({{'altair', 'jinja2', 'vl_convert'}} & {{*sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "set()"
