"""The table `monitoring.deferred`: submissions that came over a limit, without their bodies.

One row a submission. Its whole message stays in the raw log at (`source`, `source_offset`), and in the archive, so that
a replay can load it; the replay takes the row away.
"""

from __future__ import annotations

DEFERRED_TABLE = "monitoring.deferred"
