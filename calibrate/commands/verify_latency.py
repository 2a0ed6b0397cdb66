"""`servecast verify latency`: simulate measured runs and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from calibrate.commands.tolerances import USUAL, Tolerances


def latency(
    runs: list[Path],
    /,
    *,
    check: bool = False,
    tolerances: Tolerances = USUAL,
    report: Path | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """Fit a profile on each measured run's own steps, simulate its requests, and compare.

    Errors are given as simulated, and after one factor for the machine's speed in that run, taken from the run's own
    decode steps of equal composition (at most 15 %).

    For example:

        servecast verify latency measured/process.json --check

    Parameters
    ----------
    runs
        Measured runs in the format vllm-run/1.
    check
        Exit with 1 if an error is beyond its tolerance.
    report
        Also write an HTML page with tables and CDFs.
    format
        Table for people, json for programs.
    """
    from calibrate.fit.fit import fit_steps
    from calibrate.recording.run import read_run
    from calibrate.validate.compare import compare_run
    from calibrate.validate.report import HEADERS, as_json, heading, table_rows, write_report
    from simulator.cli.output import print_json, print_table
    from simulator.perf.profile import profile_step_time

    comparisons = []
    results = []
    for path in runs:
        recording = read_run(path)
        found = fit_steps(recording.steps, recording.capture_sizes, file=str(path))
        limits = recording.config
        step_time = profile_step_time(
            found.solution.coefficients,
            limits.max_num_batched_tokens,
            limits.max_num_seqs,
            str(path),
            between_steps_s=found.between_steps_s,
            between_sequence_s=found.between_sequence_s,
        )
        own = [
            compare_run(run, limits, step_time, recording.steps, tolerances.raw, tolerances.corrected)
            for run in recording.runs
        ]
        comparisons += own
        held_out = {
            regime: {"points": error.points, "median": error.median, "p90": error.p90}
            for regime, error in found.held_out.items()
        }
        results.append({"file": str(path), "held_out": held_out, "runs": [as_json(entry) for entry in own]})
        if format == "table":
            errors = ", ".join(
                f"{regime} {100 * error.median:.1f} % (p90 {100 * error.p90:.1f} %)"
                for regime, error in found.held_out.items()
            )
            print(f"{path}: step model on held-out steps: {errors}; {100 * found.outlier_share:.1f} % outliers")
            for entry in own:
                print(f"\n{heading(entry)}")
                print_table(table_rows(entry), HEADERS)
            print()
    within = all(entry.within for entry in comparisons)
    if report:
        write_report("Measured against simulated", comparisons, report)
    if format == "json":
        print_json({"within": within, "files": results})
    else:
        print("every error is within its tolerance" if within else "some errors are beyond their tolerances")
    return 1 if check and not within else 0
