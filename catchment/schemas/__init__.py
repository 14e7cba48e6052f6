"""Schemas: JSON Schema files, what they accept, and the table that they make.

`registry` finds and compiles the files, `shape` turns one into a tree of typed columns, `names` says what columns are
called, `builtin/` holds the schemas that come with Catchment. For people: `describing` and `documentation` make a
schema readable, `lint` and `examples` judge it before a platform does. `compatibility` compares two forms of one, and
`refusals` keeps a running registry from the incompatible ones.
"""
