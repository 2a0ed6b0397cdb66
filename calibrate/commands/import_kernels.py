"""`servecast calibrate import-kernels`: measured kernel tables → hardware profiles."""

from __future__ import annotations

import sys
from pathlib import Path


def import_kernels(
    *gpus: str,
    source: Path | None = None,
    output: Path | None = None,
    write_docs: Path | None = None,
    retrieved: str = "2026-11-23",
) -> int:
    """Fit the kernels of each GPU on the measured tables of aiconfigurator-core and write hardware profiles.

    For example:

        servecast calibrate import-kernels h100-sxm h200 --output profiles

    Parameters
    ----------
    gpus
        GPUs to write; all unless given.
    source
        Folder of the unpacked package; the installed one unless given.
    output
        Folder of the profiles; the catalog's own unless given.
    write_docs
        Write the errors of the fits into the kernels' section of this document (docs/accuracy.md).
    retrieved
        Date that the tables were retrieved, for the provenance.
    """
    from calibrate.kernels import report
    from calibrate.kernels.build import build_all, write_profiles
    from calibrate.kernels.tables import find_tables
    from simulator.catalog.hardware import FOLDER
    from simulator.cli.output import print_table

    tables = find_tables(source)
    profiles = build_all(tables, gpus, retrieved, lambda line: print(line, file=sys.stderr))
    files = write_profiles(profiles, output or FOLDER)
    rows = report.residual_rows(profiles)
    print_table([list(row.values()) for row in rows], list(rows[0]))
    if write_docs:
        report.write_docs(write_docs, profiles)
    print(f"{len(files)} profiles in {files[0].parent}", file=sys.stderr)
    return 0
