"""Ready jobs that run `calibrate profile` on GPUs elsewhere and leave a bundle to fit anywhere."""
