"""Named GPUs, models, sites, offers and cost figures, each value with unit, source, date and kind."""
