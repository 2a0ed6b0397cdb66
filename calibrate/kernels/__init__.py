"""From measured kernel tables to one hardware profile per GPU."""
