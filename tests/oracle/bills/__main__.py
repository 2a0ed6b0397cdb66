"""Prints the bill of each topology of a bundle."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bills.rows import cents
from bills.study import Study


def main() -> None:
    usage, terms = (json.loads(Path(path).read_text(encoding="utf-8")) for path in sys.argv[1:3])
    names = sys.argv[3:] or (list(terms) if "topology" not in terms else [])
    for name in names or [""]:
        study = Study(usage[name], terms[name]) if name else Study(usage, terms)
        rows = study.mean_lines()
        for line, amount in zip(rows, cents(rows), strict=True):
            print(f"{name}\t{line['owner']}\t{line['category']}\t{line['part']}\t{amount}")
        for time, usd in study.payments().items():
            print(f"{name}\tpaid after {time:g} months\t{usd:.6f}")
        print(f"{name}\tpresent value\t{study.npv():.6f}")


if __name__ == "__main__":
    main()
