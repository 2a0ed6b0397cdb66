"""What `make docs` checks: commands of the pages, executed, and the site that was built before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "SERVECAST_DOCS" not in os.environ and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="takes minutes: `make docs` (SERVECAST_DOCS is not set)"))
