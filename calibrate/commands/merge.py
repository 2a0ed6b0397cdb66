"""`servecast calibrate merge`: profiles from many machines in one catalog folder."""

from __future__ import annotations

from pathlib import Path


def merge(profiles: list[Path], /, *, into: Path) -> int:
    """Copy profiles into one folder, named by GPU, layout, model and version, with an index of where each comes from.

    For example:

        servecast calibrate merge a100.json h100.json --into profiles

    Parameters
    ----------
    profiles
        Files written by `servecast calibrate fit`.
    into
        Catalog folder; profiles that are in it already stay.
    """
    from calibrate.fit.profile_file import merge_profiles
    from simulator.cli.output import print_table

    rows = merge_profiles(profiles, into)
    shown = ("file", "gpu", "device", "model", "vllm_version")
    print_table([[str(row[name] or "-") for name in shown] for row in rows], shown)
    return 0
