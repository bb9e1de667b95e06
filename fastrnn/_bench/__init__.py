"""Timing fastrnn beside its peers: `python -m fastrnn bench`, and what it shares with `pytest bench`."""
