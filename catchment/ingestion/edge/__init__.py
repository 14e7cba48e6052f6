"""The HTTP edge: takes submissions, makes them durable in topic `raw`, and only then answers 200.

    connection ─▶ head ─▶ rules ─▶ envelope ─▶ commit ─▶ log (group flush) ─▶ commit ─▶ connection: 200

One worker is one process with one event loop and one partition of `raw`. The body is never opened. See `docs/edge.md`.
"""
