"""Reads sweep files, with every problem at its place."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from simulator.errors import InputError, Problem
from simulator.scenario.document import Document
from simulator.scenario.explain import explain, own_errors
from simulator.scenario.load import place
from simulator.schema.sweep import SweepFile


def is_sweep(document: Document) -> bool:
    """Whether a document is a sweep file rather than a scenario: it has a grid."""
    return isinstance(document.data, dict) and "grid" in document.data


def sweep_file(document: Document, file: Path) -> SweepFile:
    """The sweep file in `document`; `file` is where it lies.

    Raises
    ------
    InputError : every problem, and files that it names but that are not there
    """
    try:
        sweep = SweepFile.model_validate(document.data)
    except ValidationError as error:
        problems: list[Problem] = []
        for detail in own_errors(document.data, error):
            path, message, got = explain(document.data, detail, SweepFile)
            problems.append(
                Problem(message, *place(document, path), path=path or None, got=None if got is None else str(got))
            )
        raise InputError(*dict.fromkeys(problems)) from None
    named = [("scenario", sweep.scenario), *((f"overlays[{k}]", name) for k, name in enumerate(sweep.overlays))]
    missing = [
        Problem(f"no such file in {file.parent}", *place(document, path), path=path, got=name)
        for path, name in named
        if not os.path.isfile(file.parent / name)
    ]
    if missing:
        raise InputError(*missing)
    return sweep
