"""`servecast merge`: the shards of a sweep become one table."""

from __future__ import annotations

from pathlib import Path

from simulator.cli.sweep import Format, shown


def merge(shards: list[Path], /, *, out: Path = Path("runs"), format: Format = "table", check: bool = False) -> int:
    """Put the shards of a sweep together: the table is, byte for byte, the one that a sweep of the whole writes.

    For example:

        servecast merge runs/load-4fb36670.shard-*
        servecast merge machine-a/load-4fb36670.shard-1-of-2 machine-b/load-4fb36670.shard-2-of-2 --out runs

    Parameters
    ----------
    shards
        Folders that `servecast sweep --shard` wrote, all of one sweep, in any order.
    out
        Folder for the results.
    format
        Table for people, json or csv for programs.
    check
        Exit with 1 unless some topology meets the SLO at some point.
    """
    from simulator.sweep.merge import merge_shards

    return shown(merge_shards(shards, out), format, check)
