"""Published serving results against the simulator: read, simulated row by row, compared, and fitted on."""
