"""The framed lake's writer: documents whole, as framed messages, in files by dimension.

    decoded ──▶ dimensions.py: which, and where ──▶ a range (ranges.py) ──▶ plan ──▶ objects ──▶ checkpoint
                                                              plan_put   object_put    committed

Taken are documents without a schema, and those of doctypes that the configuration names. What is read of a partition
from one checkpoint to the next is a *range*; it becomes one object for each place that its documents have. Where a
range ends depends on time and memory, and what belongs where on schemas and settings; none of that is the same again
after a crash. So before the first object there is a *plan*, put if absent under the name of the range's first offset:
where the range ends, and which offsets each object has. Whoever finds the plan (a restart, or the partition's next
owner) reads the range again and puts just those objects; each has one name, and only the first put counts. The
checkpoint follows the last object. So each document is in each place once, whatever crashes, and no reader meets an
object that is not to stay.

The group `framed` holds the retention of topic `decoded`, so a range can always be read again. `writer.py` is the
service. What readers must know of keys is in `catchment/datasets/layout.py`, a floor below.
"""
