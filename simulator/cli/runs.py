"""`servecast runs`: what lies in folders of runs, under what name."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Literal

_NOTE_CHARACTERS = 60
"""Of a note in a table, on one line; all of it in JSON."""


def list_(folders: list[Path] | None = None, /, *, format: Literal["table", "json"] = "table") -> int:
    """List runs, then sweeps and shards of them, each newest first: scenario, time, who is cheapest, notes.

    For example:

        servecast runs list
        servecast runs list runs other/runs

    Parameters
    ----------
    folders
        Folders that hold some; without any, `runs`.
    format
        Table for people, json for programs.
    """
    from simulator.cli.output import print_json, print_table
    from simulator.results.shelf import bundle_folders, sweep_folders

    places = [str(folder) for folder in folders or [Path("runs")]]
    rows = [_row(folder, "run") for folder in bundle_folders(places)]
    rows += [_row(folder, kind) for kind in ("sweep", "shard") for folder in sweep_folders(places, kind)]
    if format == "json":
        print_json(rows)
    else:
        shown = [{**row, "note": shorten(row["note"], _NOTE_CHARACTERS, placeholder=" …")} for row in rows]
        print_table(
            [[*map(str, row.values())] for row in shown], ["bundle", "kind", "scenario", "written", "cheapest", "note"]
        )
    return 0


def _row(folder: Path, kind: str) -> dict[str, str]:
    from datetime import datetime

    from simulator.errors import InputError
    from simulator.figures.table import NONE
    from simulator.results.bundle import read_bundle, read_manifest
    from simulator.results.notes import read_note
    from simulator.results.seal import MANIFEST

    written = datetime.fromtimestamp((folder / MANIFEST).lstat().st_mtime).isoformat(" ", "minutes")
    try:
        if kind != "run":
            scenario, cheapest = read_manifest(folder)["scenario"], NONE
        else:
            bundle = read_bundle(folder)
            winners = () if bundle.decision["withheld_by"] else bundle.decision["winners"]
            scenario, cheapest = bundle.summary["scenario"], ", ".join(winners) or NONE
    except InputError as error:
        scenario, cheapest = NONE, error.problems[0].message
    told = {"bundle": str(folder), "kind": kind, "scenario": scenario, "written": written, "cheapest": cheapest}
    return {**told, "note": read_note(folder).strip()}


def rename(bundle: Path, name: str, /) -> int:
    """Give the folder of a run or sweep another name beside where it lies.

    For example:

        servecast runs rename runs/quickstart-4fb36670 "as of today"

    Parameters
    ----------
    bundle
        Folder written by `servecast run` or `sweep`.
    name
        Letters, digits, blanks, `.`, `_` and `-`.
    """
    from simulator.results.shelf import rename_bundle

    print(rename_bundle(bundle, name))
    return 0


def note(bundle: Path, text: str | None = None, /) -> int:
    """Say something of a run or sweep, in place of what was said before; without a text, print what was.

    For example:

        servecast runs note runs/quickstart-4fb36670 "with the prices of the second offer"
        servecast runs note runs/quickstart-4fb36670

    Parameters
    ----------
    bundle
        Folder written by `servecast run` or `sweep`.
    text
        Of at most 10,000 characters; an empty one takes the note away.
    """
    from simulator.results.notes import read_note, write_note
    from simulator.results.shelf import check_bundle

    if text is None:
        print(read_note(check_bundle(bundle)), end="")
    else:
        write_note(bundle, text)
    return 0


def delete(bundles: list[Path], /, *, yes: bool = False) -> int:
    """Remove runs or sweeps for good.

    For example:

        servecast runs delete runs/quickstart-4fb36670 --yes

    Parameters
    ----------
    bundles
        Folders written by `servecast run` or `sweep`.
    yes
        Do it: without it nothing is removed.
    """
    from simulator.errors import InputError
    from simulator.results.shelf import check_bundle, delete_bundle

    for folder in bundles:
        check_bundle(folder)
    if not yes:
        raise InputError(f"would remove {', '.join(map(str, bundles))} for good: add --yes")
    for folder in bundles:
        delete_bundle(folder)
        print(f"removed {folder}")
    return 0
