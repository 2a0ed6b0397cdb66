"""What runs inside vLLM's own interpreter: it imports the standard library and vLLM, and nothing else of servecast.

`python -m calibrate.driver` serves commands as JSON lines (`protocol`); `internals` is the only file that touches what
vLLM does not promise to keep.
"""
