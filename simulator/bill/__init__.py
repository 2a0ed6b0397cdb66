"""Money: what a study pays for what it used. One arithmetic, on numbers or on arrays of draws."""
