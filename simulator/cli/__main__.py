"""`python -m simulator.cli`."""

from simulator.cli.main import main

main()
