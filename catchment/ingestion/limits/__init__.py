"""Limits on floods: what comes over a doctype's rate is accepted and archived, and deferred instead of loaded.

    raw records ─▶ part ─▶ admitted ─▶ the decoder
                     └───▶ deferred ─▶ topic `deferred`, table `monitoring.deferred` (metadata; where the record is)

Each raw partition has a token bucket for each namespace and doctype, fed by the submissions' own times, so a loader
that comes late, or again, decides as one that was there. Still a second decision must not depend on that: settings
change, and a table may have a record already that would now be deferred. So decisions are written down first:

    keep        before anything of a flush may reach a table: how far all is decided, which offsets were deferred since
                the group's last commit, and the buckets; one small file a partition, replaced whole, durable
    assigned    a loader that takes the partition over reads it: below that offset it repeats what was decided

A record is in one table or in `monitoring.deferred`, never in both, wherever the loader is killed. (As with duplicates,
the topics may hold both decisions when settings changed after a kill. Tables cannot.)

Nothing is dropped: the record stays in `raw` and in the archive, and a replay brings it in.

Limits: the files are on this machine; a loader elsewhere would need them kept beside the group's offsets. A bucket is a
partition's own: with several edge workers a doctype may pass at several times its rate.
"""
