"""Known advisories for the pinned packages, shipped with their date, so that they are checked without a server."""
