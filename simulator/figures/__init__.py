"""What each figure is called, its unit and digits, what it means, who computes it and when it has no value."""
