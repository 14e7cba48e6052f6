"""That the lake's offsets are of the log that is read now.

Each table has recorded how far it is in `raw/0`, `raw/1`, …, and what is below is taken for done. Another log under the
same lake counts from 0 again: its first records would be passed over, unseen. So a loader does not start on one.
"""

from __future__ import annotations

from catchment.errors import BadConfig
from catchment.ingestion.loader.former import recorded_ends
from catchment.lake.tables import Lake
from catchment.log.port import Log, TopicPartition

LOADER, FORWARDER, TOPIC = "loader", "forwarder", "raw"
_ADVICE = (
    "the tables have the offsets of the former log and would pass over this one's records; set [log] url back, or give "
    "the new log a new home, [catalog] and [objects]"
)


def refuse_another_log(log: Log, edge_log: Log, lake: Lake) -> None:
    """Raises BadConfig when the lake was loaded from another log than `log`. `edge_log` is what the edge of this home
    writes to: the same log, or what is forwarded to it."""
    former = FORWARDER if edge_log is log else LOADER
    if any(edge_log.committed(former, source) is not None for source in _sources(edge_log)):
        from_to = ("Kafka", "files") if edge_log is log else ("files", "Kafka")
        raise BadConfig(f"[log] url: the log of this home was in {from_to[0]} and is in {from_to[1]} now; {_ADVICE}")
    if edge_log is log:
        return
    ends = recorded_ends(lake)
    for source in _sources(log):
        recorded, end = ends.get(str(source), 0), log.bounds(source).end
        if recorded > end:
            raise BadConfig(
                f"[log] url: {source} has {end} records, and the lake has read {recorded} of them; {_ADVICE}"
            )


def _sources(log: Log) -> list[TopicPartition]:
    return [TopicPartition(TOPIC, number) for number in range(log.topics().get(TOPIC, 0))]
