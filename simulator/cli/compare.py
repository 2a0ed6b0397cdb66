"""`servecast compare`: topologies of several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from simulator.results.bundle import Bundle
    from simulator.scenario.differences import Difference

_LONGEST = 60
"""Characters of a value in the table of differences."""


def compare(
    runs: list[Path],
    /,
    *,
    out: Path = Path("runs"),
    format: Literal["table", "json"] = "table",
    quiet: bool = False,
) -> int:
    """Compare the topologies of runs, and say in what their scenarios differ.

    Parameters
    ----------
    runs: run bundles (folders) and scenario files, which are run first
    out: folder for the bundles of these
    format: table for people, json for programs
    quiet: no progress bar
    """
    from simulator.cli.output import print_json, print_table
    from simulator.report.table import comparison, ordered, warning_lines
    from simulator.run.summary import verdict
    from simulator.scenario.differences import ABSENT, differences

    read = [_bundle(path, out, quiet) for path in runs]
    topologies = {
        (f"{bundle.path.name}/{name}" if len(read) > 1 else name): summary
        for bundle in read
        for name, summary in ordered(bundle.summary).items()
    }
    names = [bundle.path.name for bundle in read]
    differing = differences([_resolved(bundle) for bundle in read])
    if format == "json":
        rows = [
            {"path": found.path, "values": {n: v for n, v in zip(names, found.values, strict=True) if v is not ABSENT}}
            for found in differing
        ]
        print_json({"topologies": topologies, "verdict": verdict(topologies), "differences": rows})
        return 0
    print_table(*comparison(topologies))
    print()
    print("\n".join(warning_lines(topologies)))
    print(f"\n{verdict(topologies)}")
    if differing:
        print("\nin what the scenarios differ:\n")
        print_table(_rows(differing), ["", *names])
    return 0


def _bundle(path: Path, out: Path, quiet: bool) -> Bundle:
    """The bundle at `path`, or the one that the scenario file there gives when it is run."""
    from simulator.cli.output import progress_bar
    from simulator.results.bundle import read_bundle
    from simulator.run.simulate import simulate
    from simulator.scenario.load import load_scenario

    if not path.is_file():
        return read_bundle(path)
    loaded = load_scenario(path)
    with progress_bar(quiet) as progress:
        return read_bundle(simulate(loaded, out, progress).bundle)


def _resolved(bundle: Bundle) -> dict[str, Any]:
    from simulator.scenario.document import read_document

    data: dict[str, Any] = read_document(bundle.path / "scenario.resolved.yaml").data
    return data


def _rows(differing: Sequence[Difference]) -> list[list[str]]:
    return [[found.path, *map(_cell, found.values)] for found in differing]


def _cell(value: Any) -> str:
    import json

    from simulator.scenario.differences import ABSENT

    if value is ABSENT:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
