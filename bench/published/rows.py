"""A row of a table of serving results: columns as `servecast verify gpu` reads them."""

from __future__ import annotations

Row = dict[str, str]
