"""Charts and the HTML page of a run bundle."""
