"""The public function `simulate` and the room of that name: whatever was imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest
from parts import few

STORE_FIRST = "import simulator.simulate.store\nfrom simulator import simulate"


@pytest.mark.parametrize(
    "code",
    few(
        [
            "from simulator import simulate",
            STORE_FIRST,
            "from simulator import simulate\nimport simulator.simulate.store\nfrom simulator import simulate as again",
            "import simulator.run.simulate\nimport simulator\nsimulate = simulator.simulate",
        ],
        STORE_FIRST,
    ),
)
def test_simulate_is_the_function(code: str) -> None:
    check = "from simulator.simulate.store import Store\nassert callable(simulate), simulate\nassert Store"
    subprocess.run([sys.executable, "-c", f"{code}\n{check}"], check=True)
