"""Datasets: files of framed messages below dimension folders, found, pruned and read as dicts.

It stands on the shared ground because the framed lake has two sides that must agree on names: the writer, a stage
(`ingestion/framed`), and every reader, plain Python, DuckDB or Spark. `layout` names dimensions and their values,
`dataset` finds and reads.
"""
