"""What prompts of a trace share, looked for on disk: memory is that of a piece, however many blocks there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workload.histogram import JointHistogram, Pairs, joint_histogram_of, log_edges
from simulator.workload.spool import Spool

_DEPTH_RATIO = 1.08
_LAG_QUANTILES = 41
_BLOCK = "hash ubigint, times double, prompt bigint, place integer, isl integer"
_TABLES = {
    "blocks": _BLOCK,
    "links": f"{_BLOCK}, before double",
    "reuses": "isl integer, depth integer, times double, before double",
}
Columns = dict[str, NDArray[Any]]
Seconds = NDArray[np.float64]


@dataclass
class SharedBlocks:
    """Leading blocks that prompts have in common, in order of arrival.

    Attributes
    ----------
    spool : whose disk holds the blocks
    prompts, blocks : numbers of all, prompts without a block included
    longest_tokens : of a prompt with blocks
    """

    spool: Spool
    prompts: int = 0
    blocks: int = 0
    longest_tokens: int = 0

    def __post_init__(self) -> None:
        self._bare: Counter[int] = Counter()
        for table, columns in _TABLES.items():
            self.spool.create(table, columns)

    def add(
        self, times: NDArray[np.float64], isl: NDArray[np.int32], start: NDArray[np.int64], hashes: NDArray[np.uint64]
    ) -> None:
        """Prompts that come after those before in the file.

        Parameters
        ----------
        times, isl : (n,) as the file counts them
        start : (n + 1,) block from which each prompt's own begin
        hashes : equal ones hold equal text
        """
        count = np.diff(start)
        prompt = np.repeat(np.arange(len(times)), count)
        columns = {"hash": hashes, "times": times[prompt], "prompt": self.prompts + prompt}
        columns |= {"place": np.arange(len(hashes)) - start[prompt], "isl": isl[prompt]}
        self.spool.insert("blocks", columns)
        self._bare.update(isl[count == 0].tolist())
        self.prompts += len(times)
        self.blocks += len(hashes)
        self.longest_tokens = max(self.longest_tokens, int(isl[count > 0].max(initial=0)))

    def describe(
        self,
        block_tokens: int,
        isl_edges: NDArray[np.int64],
        seconds: Callable[[Seconds], Seconds] = lambda times: times,
    ) -> dict[str, Any]:
        """Fields of a traffic description.

        Parameters
        ----------
        seconds : of arrivals, from times as the file counts them
        """
        popular, groups, largest = self._link()
        hits = continued = total = deepest = 0
        for found in self._reuses(popular):
            hits += int((found["depth"] > 0).sum())
            continued += int(np.isfinite(found["before"]).sum())
            total += int(found["depth"].sum())
            deepest = max(deepest, int(found["depth"].max()))
            self.spool.insert("reuses", found)
        depth_edges = np.concatenate([[0], log_edges(1, max(deepest, 1), _DEPTH_RATIO)])
        return {
            "block_tokens": block_tokens,
            "block_hit_ratio": round(total / self.blocks, 4),
            "prompts_with_hit": round(hits / self.prompts, 4),
            "prompts_continuing_another": round(continued / self.prompts, 4),
            "distinct_first_blocks": groups,
            "largest_first_block_share": round(largest / self.prompts, 4),
            "lag_s": [round(lag_s, 3) for lag_s in self._lags_s(continued, seconds)],
            "depth": self._depths(isl_edges, depth_edges).fields("isl", "blocks"),
        }

    def _link(self) -> tuple[set[int], int, int]:
        """Say of each block when an earlier prompt last had it.

        Returns
        -------
        Blocks of most prompts, the number of blocks that prompts begin with, and with the one of most how many
        """
        popular: set[int] = set()
        groups = largest = often = roots = 0
        last: Columns = {}
        for piece in self.spool.pieces_of("select * from blocks order by hash, times, prompt, place"):
            joined = {name: np.concatenate([last[name], piece[name]]) for name in piece} if last else piece
            first = _first_of(joined["hash"])
            begins = np.flatnonzero(first | _first_of(joined["prompt"]))
            before = np.where(first[begins], np.nan, joined["times"][begins - 1])
            before[:1] = last.get("before", before[:1])
            joined["before"] = np.repeat(before, np.diff([*begins, len(first)]))
            self.spool.insert("links", {name: column[len(last) > 0 :] for name, column in joined.items()})
            begins = np.flatnonzero(_first_of(piece["hash"]))
            count = np.diff([*begins, len(piece["hash"])])
            beginning = np.add.reduceat((piece["place"] == 0).astype(np.int64), begins)
            if last and piece["hash"][0] == last["hash"][0]:
                groups -= roots > 0
                count[0], beginning[0] = count[0] + often, beginning[0] + roots
            popular.update(piece["hash"][begins[count > self.prompts / 2]].tolist())
            groups, largest = groups + int((beginning > 0).sum()), max(largest, int(beginning.max()))
            often, roots = int(count[-1]), int(beginning[-1])
            last = {name: column[-1:] for name, column in joined.items()}
        return popular, groups, largest

    def _reuses(self, popular: set[int]) -> Iterator[Columns]:
        """Of each prompt with blocks: those that earlier ones had, and when the one that it goes on with came."""
        most = np.array(sorted(popular), np.uint64)
        for piece in self._by_prompt():
            begins = np.flatnonzero(_first_of(piece["prompt"]))
            count = np.diff([*begins, len(piece["prompt"])])
            new = np.where(np.isnan(piece["before"]), piece["place"], np.repeat(count, count))
            depth = np.minimum.reduceat(new, begins)
            last = begins + np.maximum(depth - 1, 0)
            goes_on = (depth > 0) & ~np.isin(piece["hash"][last], most)
            before = np.where(goes_on, piece["before"][last], np.nan)
            yield {"isl": piece["isl"][begins], "depth": depth, "times": piece["times"][begins], "before": before}

    def _by_prompt(self) -> Iterator[Columns]:
        """Blocks in pieces of whole prompts."""
        kept: Columns = {}
        for piece in self.spool.pieces_of("select * from links order by prompt, place"):
            joined = {name: np.concatenate([kept[name], piece[name]]) for name in piece} if kept else piece
            whole = int(np.flatnonzero(_first_of(joined["prompt"]))[-1])
            if whole:
                yield {name: column[:whole] for name, column in joined.items()}
            kept = {name: column[whole:] for name, column in joined.items()}
        yield kept

    def _lags_s(self, count: int, seconds: Callable[[Seconds], Seconds]) -> list[float]:
        """Quantiles of the time since the prompt that was gone on with; linear between two of them."""
        if not count:
            return [0.0, 0.0]
        places = np.linspace(0, 1, _LAG_QUANTILES) * (count - 1)
        wanted = np.unique(np.concatenate([np.floor(places), np.ceil(places)])).astype(np.int64)
        found: list[float] = []
        rows = 0
        query = "select times, before from reuses where not isnan(before) order by times - before"
        for piece in self.spool.pieces_of(query):
            inside = wanted[(wanted >= rows) & (wanted < rows + len(piece["times"]))] - rows
            found += (seconds(piece["times"][inside]) - seconds(piece["before"][inside])).tolist()
            rows += len(piece["times"])
        return [float(lag_s) for lag_s in np.interp(places, wanted, found)]

    def _depths(self, isl_edges: NDArray[np.int64], depth_edges: NDArray[np.int64]) -> JointHistogram:
        def pairs() -> Iterator[Pairs]:
            lengths = np.array([*self._bare], np.int64)
            yield lengths, np.zeros_like(lengths), np.array([*self._bare.values()], np.int64)
            for piece in self.spool.pieces_of("select isl, depth from reuses"):
                yield piece["isl"], piece["depth"], None

        return joint_histogram_of(pairs(), isl_edges, depth_edges)


def _first_of(keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Values that differ from the one before."""
    return np.concatenate([[True], keys[1:] != keys[:-1]])
