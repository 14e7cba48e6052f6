"""The decoder: from the bytes of a raw record to a `Document`, or to a `Failure` that keeps everything.

`chain.py` shows all steps on one page. Each step is a small function or class in a module of its own; it returns what
it made, or a `Refusal` that says why not. The client's address is known only between `submission.py`, which takes it
out of the raw message, and `geo.py`, which turns it into a country: nothing after them can hold it.
"""
