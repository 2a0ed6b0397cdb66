"""`servecast compare`: topologies of several runs side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from simulator.figures.differences import Side
    from simulator.report.charts import Summaries
    from simulator.report.paired import PairedFigure
    from simulator.results.bundle import Bundle
    from simulator.scenario.differences import Difference

_LONGEST = 60
"""Characters of a value in the table of differences."""


def compare(
    runs: list[Path],
    /,
    *,
    baseline: str = "",
    out: Path = Path("runs"),
    format: Literal["table", "json", "md"] = "table",
    quiet: bool = False,
) -> int:
    """Compare the topologies of runs, and say in what their scenarios differ.

    Topologies that served the same requests are also compared replication by replication, with 95 % intervals.

    For example:

        servecast compare runs/march runs/april --baseline march/on_prem
        servecast compare runs/main runs/branch --format md

    Parameters
    ----------
    runs
        Run bundles (folders) and scenario files, which are run first.
    baseline
        Topology that differences are taken to; the first unless given.
    out
        Folder for the bundles of these.
    format
        Table for people, json for programs, md for a comment on a pull request.
    quiet
        No progress bar.
    """
    from simulator.cli.output import print_json
    from simulator.money import shown_in
    from simulator.results.bundle import finite

    read = [_bundle(path, out, quiet) for path in runs]
    if format == "json":
        print_json(finite(_data(read, baseline)))
    else:
        with shown_in(_currency(read)):
            _print(read, baseline, format)
    return 0


def _data(read: Sequence[Bundle], baseline: str) -> dict[str, Any]:
    """What is compared, for programs: figures in USD."""
    from simulator.report.asked import asked, found
    from simulator.report.paired import paired
    from simulator.scenario.differences import differences

    topologies, names = _topologies(read), [bundle.path.name for bundle in read]
    pairs = _paired(read, topologies, baseline)
    stated = {bundle.path.name: one for bundle in read if (one := bundle.summary.get("currency"))}
    return {
        "topologies": topologies,
        "verdict": _verdict(read, topologies),
        "months": _months(read),
        "why": _why(read, pairs),
        "paired": [_pair(one, base) for base, group in pairs.items() for one in paired(group, base)],
        "differences": _json(differences(asked(read)), names),
        "found": _json(found(read), names),
        **({"currencies": stated} if stated else {}),
    }


def _print(read: Sequence[Bundle], baseline: str, format: Literal["table", "md"]) -> None:
    """The same for people."""
    from simulator.cli.output import print_table
    from simulator.report.asked import asked, found
    from simulator.report.comment import comparison_comment
    from simulator.report.paired import differences_to
    from simulator.report.table import comparison, warning_lines
    from simulator.scenario.differences import differences

    topologies, names = _topologies(read), [bundle.path.name for bundle in read]
    pairs, said = _paired(read, topologies, baseline), _verdict(read, topologies)
    differing, results = differences(asked(read)), found(read)
    if format == "md":
        tables = _rows(differing), _rows(results)
        print(comparison_comment(topologies, said, _why(read, pairs), *tables, names, _rate(read)), end="")
        return
    print_table(*comparison(topologies))
    print()
    print("\n".join([*warning_lines(topologies), *filter(None, [_rate(read)])]))
    print("", textwrap.fill(said, 110), *_months(read), sep="\n")
    if notes := _why(read, pairs):
        print("\nwhy:")
        print("\n".join(textwrap.fill(f"- {note}", 110, subsequent_indent="  ") for note in notes))
    for base, group in pairs.items():
        print(f"\nless {base}, replication by replication (95 % intervals):\n")
        print_table(*differences_to(group, base))
    for title, rows in (("in what the scenarios differ", differing), ("what their searches found", results)):
        if rows:
            print(f"\n{title}:\n")
            print_table(_rows(rows), ["", *names])


def _topologies(read: Sequence[Bundle]) -> dict[str, Mapping[str, Any]]:
    """Summaries of all, by their names and, where there are several runs, those of their runs."""
    from simulator.report.table import ordered

    return {
        (f"{bundle.path.name}/{name}" if len(read) > 1 else name): summary
        for bundle in read
        for name, summary in ordered(bundle.summary).items()
    }


def _currency(read: Sequence[Bundle]) -> Mapping[str, Any] | None:
    """What all runs show amounts in; None for USD, and where it is not the same in all."""
    stated = [bundle.summary.get("currency") for bundle in read]
    return stated[0] if all(one == stated[0] for one in stated) else None


def _rate(read: Sequence[Bundle]) -> str:
    """What amounts are converted at, or that runs do not agree on it."""
    from simulator.money import rate_words

    if all(bundle.summary.get("currency") == read[0].summary.get("currency") for bundle in read):
        return rate_words()
    own = "what a run warns of is in its own"
    return f"The runs state different currencies or rates, so amounts are compared in USD; {own}."


def _verdict(read: Sequence[Bundle], topologies: Summaries) -> str:
    """Who is cheapest of all where they served the same requests; of runs that did not, who is in each."""
    from simulator.report.paired import same_requests
    from simulator.report.table import ordered
    from simulator.run.summary import verdict

    if len(read) == 1 or same_requests(read):
        return verdict(topologies)
    each = " ".join(f"In {bundle.path.name}: {verdict(ordered(bundle.summary))}" for bundle in read)
    return f"The runs served other requests, so none is the cheapest of all. {each}"


def _paired(read: Sequence[Bundle], topologies: Summaries, baseline: str) -> dict[str, Summaries]:
    """Topologies that served the same requests, by the baseline of each group: all runs together, or each for itself.

    Raises
    ------
    InputError : no topology is called so
    """
    from simulator.errors import InputError, Problem, unknown_name
    from simulator.report.paired import same_requests

    if baseline and baseline not in topologies:
        raise InputError(Problem(unknown_name("topology", baseline, topologies), "--baseline"))
    if len(read) == 1 or same_requests(read):
        groups = [dict(topologies)]
    else:
        groups = [
            {name: found for name, found in topologies.items() if name.startswith(f"{bundle.path.name}/")}
            for bundle in read
        ]
    first = [baseline if baseline in group else next(iter(group)) for group in groups]
    return {base: group for base, group in zip(first, groups, strict=True) if len(group) > 1}


def _why(read: Sequence[Bundle], pairs: Mapping[str, Summaries]) -> list[str]:
    """Why topologies that served the same requests differ from the baseline of their group."""
    from simulator.report.why import sides, why_notes

    known: dict[str, Side] = {}
    for bundle in read:
        before = f"{bundle.path.name}/" if len(read) > 1 else ""
        known |= sides(bundle, partial(add, before))
    return [note for base, group in pairs.items() for note in why_notes({name: known[name] for name in group}, base)]


def _months(read: Sequence[Bundle]) -> list[str]:
    """How each topology gets through the months of its study, where these differ."""
    from simulator.report.decision import months_notes
    from simulator.report.table import ordered

    several = len(read) > 1
    return [
        f"{bundle.path.name}/{note}" if several else note
        for bundle in read
        for note in months_notes(bundle.decision, list(ordered(bundle.summary)))
    ]


def _pair(found: PairedFigure, baseline: str) -> dict[str, Any]:
    return {
        "topology": found.topology,
        "baseline": baseline,
        "figure": found.unit_words,
        "difference": found.mean,
        "half_width": found.half_width,
        "baseline_mean": found.base,
    }


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


def _json(rows: Sequence[Difference], names: Sequence[str]) -> list[dict[str, Any]]:
    from simulator.scenario.differences import ABSENT

    said = [{n: v for n, v in zip(names, row.values, strict=True) if v is not ABSENT} for row in rows]
    return [{"path": row.path, "values": values} for row, values in zip(rows, said, strict=True)]


def _rows(rows: Sequence[Difference]) -> list[list[str]]:
    return [[row.path, *map(_cell, row.values)] for row in rows]


def _cell(value: Any) -> str:
    from simulator.scenario.differences import in_words

    text = in_words(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
