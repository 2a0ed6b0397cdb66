"""Every constant that an equation uses stands on the page of the equation, with value, source, date and kind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bench.site import constants as written
from bench.site.constants import DATA, LISTED, PAGES, ROOT, constants, section, with_section
from simulator.catalog.overheads import engine_overheads
from simulator.errors import InputError

ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| [^|]* \| (sourced|derived|estimate) \| (\d+) \|", re.M)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_constants_of_its_equations(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert with_section(text, page) == text, "python -m bench.site.constants"


@pytest.mark.parametrize("page", PAGES)
def test_each_has_a_value_a_kind_and_a_dated_source(page: str) -> None:
    text = section(page)
    rows = ROW.findall(text)
    assert len(rows) == len([line for line in text.splitlines() if line.startswith("| `")]) > 0
    sources = re.split(r"^\d+\. ", text.partition("\n1. ")[2], flags=re.M)
    assert {int(number) for *_, number in rows} == set(range(1, len(sources) + 1))
    for source in sources:
        assert re.search(r"\b\d{4}(?:-\d\d){0,2}\b|undated", source.rstrip()[-10:]), source
    assert all(float(value.split()[0]) < 1e15 for _, value, *_ in rows)


def test_no_file_with_figures_is_left_out() -> None:
    on_pages = {file.partition(":")[0] for files in PAGES.values() for file in files}
    figures = {file.name for file in DATA.glob("*.yaml") if constants(file.name)}
    assert figures == on_pages | set(LISTED)
    of_routing = [
        row.name for files in PAGES.values() for file in files if "routing" in file for row in constants(file)
    ]
    assert sorted(of_routing) == sorted(row.name for row in constants("routing.yaml"))


def test_what_stands_there_is_what_is_computed_with() -> None:
    rows = {name: value for name, value, _, _ in ROW.findall(section("docs/model/overheads.md"))}
    newest = engine_overheads(None)
    assert float(rows["vllm since 0.14.exposed_s"].split()[0]) == newest.exposed_s
    assert float(rows["vllm since 0.14.host_s"].split()[0]) == newest.host_s


def test_a_section_between_others_is_replaced_where_it_stands() -> None:
    page = "docs/model/step-time.md"
    text = "# A\n\nx\n\n## Constants\n\nold\n\n## B\n\ny\n"
    assert with_section(text, page) == f"# A\n\nx\n\n{section(page)}\n## B\n\ny\n"
    assert with_section("# A\n\nx\n", page) == f"# A\n\nx\n\n{section(page)}"


def test_a_page_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full after some of it: half a page stood there."""

    def cut(file: Path, content: object, **_: object) -> None:
        file.open("w").close()
        raise OSError(28, "No space left on device")

    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    monkeypatch.setattr(written, "ROOT", tmp_path)
    monkeypatch.setattr(Path, "write_text", cut)
    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises((InputError, OSError)):
        written.main()
    monkeypatch.undo()
    assert all((tmp_path / page).read_bytes() == (ROOT / page).read_bytes() for page in PAGES)
    assert not list(tmp_path.rglob("*.part*"))
