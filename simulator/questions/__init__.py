"""Questions that a person can answer, and the scenario that the answers make."""
