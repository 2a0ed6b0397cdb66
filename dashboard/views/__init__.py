"""One file a view; each answers one question (see `dashboard.app`)."""
