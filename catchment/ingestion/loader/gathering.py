"""From raw records to rows in their tables' buffers, block by block.

What a document was parsed into is some 20 times its message. Each block's is let go before the next is decoded, so a
batch of large pings takes a quarter of the memory. Decoding and columns alone, without the loader around them, take a
sixth less time by it; in a whole load on a busy machine it made no difference that could be measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from catchment.document import Document
from catchment.ingestion import streams
from catchment.ingestion.decoder.chain import Decoder, blocks
from catchment.ingestion.decoder.failure import Failure
from catchment.ingestion.loader.tables import Buffers, Row
from catchment.log.port import Record, TopicPartition

Made = tuple[int, Document, bytes, Row | None]
"""Offset of the raw record, its document without what it was parsed into, its message for topic `decoded`, its row."""
Failed = tuple[int, Failure]


def gather(
    decoder: Decoder, buffers: Buffers, source: TopicPartition, records: Sequence[Record]
) -> tuple[list[Made], list[Failed]]:
    """Documents and failures of some records. Each document is in its table's buffer already, as if it were no
    repeat."""
    made: list[Made] = []
    failed: list[Failed] = []
    for block in blocks(records):
        for (offset, _), outcome in zip(block, decoder.decode_batch(block, source), strict=True):
            if isinstance(outcome, Failure):
                failed.append((offset, outcome))
                continue
            encoded = streams.encode_document(outcome, source, offset)
            row = buffers.add_document(outcome, source, offset)
            outcome.let_go()
            made.append((offset, outcome, encoded, row))
    return made, failed
