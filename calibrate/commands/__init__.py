"""Commands of `servecast calibrate` and of `servecast verify`, one file each."""
