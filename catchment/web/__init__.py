"""The console: server-rendered pages that show the platform at work and answer SQL.

`serve.py` runs it; `app.py` lists its parts and routes. `sampling.py` looks at the platform once for all viewers and
keeps five minutes of it; `flow.py` makes the drawing's words and lines out of that, `tails.py` the last pings and
errors out of the log. `running.py` runs queries within their limits, `results.py` turns what they return into cells and
downloads. `guard.py` says who may ask and what a browser may load. Pages work without scripts; the modules in `static/`
only make them live.
"""
