"""The public function `simulate` and the room of that name: whatever was imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "from simulator import simulate",
        "import simulator.simulate.store\nfrom simulator import simulate",
        "from simulator import simulate\nimport simulator.simulate.store\nfrom simulator import simulate as simulate",
        "import simulator.run.simulate\nimport simulator\nsimulate = simulator.simulate",
    ],
)
def test_simulate_is_the_function(code: str) -> None:
    check = "from simulator.simulate.store import Store\nassert callable(simulate), simulate\nassert Store"
    subprocess.run([sys.executable, "-c", f"{code}\n{check}"], check=True)
