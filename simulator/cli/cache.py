"""`servecast cache`: what is kept of simulations, and how to be rid of it."""

from __future__ import annotations

_MEGABYTE = 1e6


def cache(*, clear: bool = False) -> int:
    """Show what is kept of simulations between runs: where, how many, how much, and since when it was not used.

    For example:

        servecast cache
        servecast cache --clear

    Parameters
    ----------
    clear
        Remove all of it; nothing but time is lost.
    """
    from datetime import datetime

    from simulator.simulate.store import user_store

    store = user_store()
    files = store.files()
    if clear:
        store.clear()
        print(f"removed {len(files)} simulations from {store.folder}")
        return 0
    total = sum(size for _, size, _ in files)
    print(f"folder: {store.folder}")
    print(f"simulations: {len(files)}")
    print(f"size: {total / _MEGABYTE:,.1f} MB of {store.limit_bytes / _MEGABYTE:,.0f} MB")
    if files:
        oldest, newest = (
            datetime.fromtimestamp(each).isoformat(" ", "minutes")
            for each in (min(at for _, _, at in files), max(at for _, _, at in files))
        )
        print(f"last used: {oldest} to {newest}")
    hits, misses = store.counts()
    if hits + misses:
        print(f"hits: {hits:,} of {hits + misses:,} look-ups ({hits / (hits + misses):.0%}) on this machine")
    return 0
