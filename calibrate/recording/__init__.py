"""What was measured on a real engine: steps, and requests served in wall-clock time."""
