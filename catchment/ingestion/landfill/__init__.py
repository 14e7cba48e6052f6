"""The landfill: every submission as it was received, in immutable objects, from which all else can be made again.

    raw ──▶ archiver.py: pack (packing.py) ──▶ object ──▶ read back, checked ──▶ index ──▶ checkpoint
                                          object_put            object_verified   index_put    committed

One object holds a range of offsets of one partition. It ends at `object_bytes`, at `object_age_s`, at a new hour, or at
a gap of the log. Where it ends depends on time and so is not repeatable; where it *begins* is: its key is made of the
first record alone, and put-if-absent lets only one object have it. An archiver that finds its key taken after a crash
takes the object that is there for what it is, gives it its index, and goes on behind its end. So the ranges of a
partition follow each other without gap or overlap, whatever crashes where.

An index seals its object: readers (`shelf.py`) list indexes, and an object without one does not exist for them. The
group `archiver` holds the log's retention, so what is not archived is not trimmed. `layout.py` names keys and indexes,
`catchment/archives.py` reads files of other layouts, of this platform and of its ancestors.
"""
