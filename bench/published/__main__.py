"""`python -m bench.published SOURCE CHECKOUT --out FOLDER`: a source's table for `servecast verify gpu --data FOLDER`.

The tables stay where they are made: what others measured is cited, not shipped.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections import Counter
from pathlib import Path

from bench.published import gpustack, llmservingsim, mlenergy
from simulator.errors import InputError
from simulator.results.files import write_text

SOURCES = {"gpustack": gpustack, "mlenergy": mlenergy, "llmservingsim": llmservingsim}


def main() -> None:
    """Write the table; nothing is written of a checkout that is broken, or is another source's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("checkout", type=Path, help="work tree of the source's repository")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    asked = parser.parse_args()
    left_out: Counter[str] = Counter()
    source = SOURCES[asked.source]
    try:
        found = list(source.rows(asked.checkout, left_out))
        if not found:
            raise InputError(f"{asked.checkout}: no row is found; is it a work tree of {source.URL}?")
    except InputError as error:
        print(f"bench.published: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    names = list(dict.fromkeys(name for row in found for name in row))
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"{asked.source}_points.csv"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(found)
    write_text(path, text.getvalue())
    print(f"{path}: {len(found)} rows")
    for reason, number in left_out.most_common():
        print(f"  {number} left out: {reason}")


if __name__ == "__main__":
    main()
