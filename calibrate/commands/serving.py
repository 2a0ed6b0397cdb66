"""`servecast calibrate serving`: the engine's overheads, fitted on published serving results."""

from __future__ import annotations

from datetime import date as day
from pathlib import Path


def serving(
    tables: list[Path] | None = None,
    /,
    *,
    data: Path | None = None,
    date: str | None = None,
    output: Path | None = None,
    rounds: int = 2,
    quiet: bool = False,
) -> int:
    """Fit engine overheads and sustained shares, cross-validate them, and write both as catalog data.

    For example:

        servecast calibrate serving points.csv --output fitted

    Parameters
    ----------
    tables
        CSV files as `servecast verify gpu` reads them.
    data
        Folder of tables by their usual names, used when no table is given; else the environment variable
        SERVECAST_SERVING_DATA.
    date
        Date of the fit, for the provenance; today unless given.
    output
        Folder of engine_overheads.yaml and expected_errors.yaml; the catalog's own unless given.
    rounds
        Most steps of the least squares, which begin at the catalog's values; 0 keeps those and writes the errors to
        expect alone.
    quiet
        No progress bar.
    """
    from calibrate.commands.verify_gpu import table_files
    from calibrate.serving.crossval import cross_validate, error_groups
    from calibrate.serving.crossval import tables as summaries
    from calibrate.serving.fit import fit
    from calibrate.serving.parameters import PARAMETERS, present_values
    from calibrate.serving.publish import write_errors, write_overheads
    from calibrate.serving.read import read_tables
    from calibrate.serving.select import fit_runs
    from simulator.catalog.quantity import DATA
    from simulator.cli.output import print_table, progress_bar

    date = date or day.today().isoformat()
    runs = fit_runs(read_tables(table_files(tables, data)))
    with progress_bar(quiet) as progress:
        result = fit(runs.composed, PARAMETERS, progress, rounds, present_values())
    print_table(
        [[one.name, f"{one.start:.3g}", f"{result.values[one.name]:.3g}", one.unit] for one in PARAMETERS],
        ("parameter", "expected", "fitted", "unit"),
    )
    validation = cross_validate(runs.all, runs.composed, result, PARAMETERS)
    if rounds:
        write_overheads(result, PARAMETERS, date, output or DATA)
    groups = error_groups(validation)
    write_errors(groups, summaries(validation, groups), date, output or DATA)
    return 0
