"""Tables for `servecast verify gpu` from checkouts of those who published what they measured."""
