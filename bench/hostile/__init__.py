"""Input that nobody should give: mutated and random scenarios, broken side files, damaged bundles."""
