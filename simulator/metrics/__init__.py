"""What users of the service feel: latency percentiles, goodput, SLO attainment, and the laws every run obeys."""
