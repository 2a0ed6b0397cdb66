"""Processes that tests start say too which functions ran in them (`bench.mutants.tracing`)."""

import os

if os.environ.get("MUTANTS_TEST"):
    from bench.mutants.tracing import begin

    begin()
