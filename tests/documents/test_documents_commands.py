"""Commands that the pages show run, and print what the pages say that they print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 0.02
"""Of each figure: more is another answer."""
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
NOT_HERE = {
    "servecast calibrate profile": "needs vLLM: `make test-vllm`",
    "servecast calibrate fit": "of what `profile` has measured",
    "servecast calibrate validate": "needs vLLM: `make test-vllm`",
    "servecast verify latency measured/": "of what `validate` has recorded",
    "servecast dashboard": "goes on until it is stopped",
    "servecast run bench/ten-million.yaml": "ten million requests: minutes",
    "servecast sweep scenarios/sweeps/load.yaml --executor ray": "needs a cluster: `make test-ray`",
    "servecast merge": "of shards that other machines made",
    "servecast memory path/to/": "a file of one's own",
    "servecast memory --table questions.csv": "a file of one's own",
    "servecast memory --compare vllm.log": "a file of one's own",
}


def blocks() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [(page, re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)) for page in pages]
    lines = [
        (page.name, line.partition("&&")[0]) for page, texts in found for text in texts for line in text.split("\n")
    ]
    return [
        (page, shlex.join(shlex.split(line, comments=True))) for page, line in lines if line.startswith("servecast ")
    ]


BLOCKS = blocks()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the repository, to write into."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("scenarios", "tests", "calibrate"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def executed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "simulator.cli"]
    for word in shlex.split(command)[1:]:
        words += sorted(map(str, folder.glob(word))) if "*" in word else [word]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def reason(command: str) -> str:
    return next((why for start, why in NOT_HERE.items() if command.startswith(start)), "")


@pytest.mark.parametrize(("page", "command"), [each for each in BLOCKS if not reason(each[1])])
def test_a_command_in_a_block_runs(page: str, command: str, checkout: Path) -> None:
    done = executed(command, checkout)
    allowed = {0, 1} if "--stale" in command else {0}
    assert done.returncode in allowed, f"{page}: {done.stderr[-2000:]}"
    assert done.stdout.strip()


def test_what_does_not_run_here_is_still_shown_somewhere() -> None:
    for start in NOT_HERE:
        assert any(command.startswith(start) for _, command in BLOCKS), start


def differences(said: str, told: str) -> list[str]:
    """Lines of a page that a command does not print, their figures within the tolerance; `…` ends what is compared."""
    said, cut, _ = said.partition("…")
    lines = shown(said)
    printed_lines = shown(told)[: len(lines)]
    if cut and len(printed_lines) == len(lines):
        printed_lines[-1] = " ".join(printed_lines[-1].split()[: len(lines[-1].split())])
    found = []
    for line, printed in zip_longest(lines, printed_lines, fillvalue=""):
        words, others = NUMBER.sub("#", line).split(), NUMBER.sub("#", printed).split()
        figures = zip_longest(values(line), values(printed), fillvalue=float("nan"))
        if words != others or not all(abs(one - other) <= TOLERANCE * abs(other) for one, other in figures):
            found.append(f"{line!r} is printed as {printed!r}")
    return found


def shown(text: str) -> list[str]:
    """Lines, with paragraphs of words in one: where they are broken depends on their figures; rules left out."""
    parts = [part for part in text.split("\n\n") if part.strip()]
    lines: list[str] = []
    for part in parts:
        rows = [row for row in part.split("\n") if row.strip() and not re.fullmatch(r"[-\s]+", row)]
        lines += rows if any("  " in row.strip() for row in rows) else [" ".join(rows)]
    return lines


def values(line: str) -> list[float]:
    return [float(each.replace(",", "")) for each in NUMBER.findall(line)]


def test_the_comparison_notices_words_figures_and_lines_that_differ() -> None:
    told = "first line of\nwords: 12,000 in all.\n\nname   a    b\n-----  ---  ---\nserved  99%  0.576 s\n\nmore"
    assert (
        differences("first line\nof words: 12,100 in all.\n\nname  a  b\n---  -  -\nserved  99%  0.57 s\n\n…", told)
        == []
    )
    assert differences("first line\nof words: 12,000 …", told) == []
    assert len(differences("first line\nof words: 11,000 …", told)) == 1
    assert len(differences("first line of words: 13,000 in all.\n\n…", told)) == 1
    assert len(differences("first line of wards: 12,000 in all.\n\n…", told)) == 1
    assert len(differences(told.replace("99%", "90%"), told)) == 1
    assert len(differences(told + "\n\nand more", told)) == 1
    assert len(differences(told.replace("0.576 s", "0.576 s  7"), told)) == 1


def test_the_comparison_of_the_readme_is_what_the_quickstart_prints(checkout: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    found = re.search(r"^`(servecast run [^`]*)` [^\n]*prints:\n\n```\n(.*?)^```", text, re.M | re.S)
    assert found is not None
    done = executed(found[1], checkout)
    assert done.returncode == 0, done.stderr
    assert differences(found[2], done.stdout) == []


def test_recorded_schedules_are_as_many_steps_as_is_said(checkout: Path) -> None:
    command = "servecast verify schedule tests/data/vllm-schedule-traces/*.json"
    count = len([*(ROOT / "tests/data/vllm-schedule-traces").glob("*.json")])
    told = executed(command, checkout).stdout
    same, recorded = re.findall(r"all recordings +([\d,]+) / ([\d,]+)", told)[0]
    assert same == recorded
    for name in ("README.md", "docs/accuracy.md", "docs/model/scheduler.md"):
        text = " ".join((ROOT / name).read_text("utf-8").split())
        assert (
            f"{['', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'][count]} recordings"
            in text
        )
        assert f"{recorded} steps" in text


def test_the_table_of_modes_is_what_the_command_prints(checkout: Path) -> None:
    text = (ROOT / "docs/model/scheduler.md").read_text("utf-8")
    command = re.search(r"`(servecast verify versions [^`]*)`\.", text)
    assert command is not None
    done = executed(command[1], checkout)
    assert done.returncode == 0, done.stderr
    pairs = r"[\d,]+ / [\d,]+"
    rows = dict(re.findall(rf"^\| (\w+) \| ((?:{pairs} \| )+{pairs})", text, re.M))
    printed = {row.split("  ")[0]: re.findall(pairs, row) for row in done.stdout.split("\n") if re.search(pairs, row)}
    assert len(rows) > 30
    for mode, row in rows.items():
        assert re.findall(pairs, row) == printed[mode], mode
    some = (ROOT / "README.md").read_text("utf-8")
    assert f"`{' '.join(command[1].split())}`" in " ".join(some.split())
    shown = re.findall(rf"^  \| (\w+) \| ((?:{pairs} \| )+{pairs})", some, re.M)
    assert len(shown) > 10
    for mode, row in shown:
        assert re.findall(pairs, row) == printed[mode], mode
