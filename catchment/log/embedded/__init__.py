"""The embedded log: partitions as files on this machine, shared by the processes of this machine.

Files. `<root>` is the directory that `[log] url` names; it must be on a local filesystem (locks and inotify).

    <root>/.topics/<topic>.json              partitions and retention of a topic; written whole, renamed into place
    <root>/<topic>/<partition>/lock          held (flock) by the partition's writer while it lives
                               head          how far readers may read; 32 bytes, overwritten in place
                               <base>.log    a segment; base = offset of its first record, 20 digits
                               spare         the next segment while it is prepared: zeros
                               <base>.torn-<n>  bytes that were cut off the end of a segment, kept for inspection
    <root>/.groups/<group>/members/<id>      held by a living consumer; its text names the topics that it wants
                           owners/<topic>.<partition>    held by the member that owns the partition
                           offsets/<topic>.<partition>   the committed offset

A segment is records without gaps, from byte 0; zeros may follow in the one in use. All numbers are little-endian.

    record   bytes 0..3   u32   bits 0–30: length of the payload; bit 31: more records of the same batch follow
             bytes 4..7   u32   CRC-32C over bytes 0..3 and the payload, so that zeros are never a record
             bytes 8..          payload, 0 to 8 MiB + 64 KiB

    head     bytes 0..3         "CLH1"
             bytes 4..27  3×u64 base of the segment in use, bytes of it that are durable, next offset
             bytes 28..31 u32   CRC-32C over bytes 0..27

    offset   text               20 digits, a blank, CRC-32C of the digits in hexadecimal, a line end

Who writes. One writer a partition. A flush is: one write of all waiting batches that returns when they are on the
disk (RWF_DSYNC), head, then the answers. The head comes after the write, so it never runs ahead of the disk, and
before the answers, so whatever was answered can be read. A segment that has reached `segment_bytes` is sealed before
the next flush: the next file is made and its directory synced before the first byte goes in. A segment is larger than
that by at most one flush.

Prepared segments. When a segment has reached `prepare_from_bytes`, a thread writes the next one full of zeros, which
is taken into use when it is ready and the present one is sealed or was not prepared itself. Before that, the zeros
that are left in the present one are cut off, durably: behind a sealed segment the end of the file is the end of its
records. Never are bytes of an old segment used again, so that nothing old can pass for a record.

Who deletes. Retention, in any process, and only sealed segments, oldest first. Nothing else ever removes records.

What a failure leaves. A write that fails is taken back: the file is cut to its last durable byte, synced,
and the end of it read again; only then is the batch answered as refused. When even this fails the answer is Unknown,
and nothing more is written before the cut has succeeded.

What a crash leaves. Perhaps a part of the last flush, behind the last whole batch. The next writer reads the last
segment from its first byte, cuts off what follows the last whole batch, syncs, and, unless that was all zero, keeps
the cut bytes in a `.torn-<n>` file and reports `torn_tail_truncated`. If what it keeps ends before the head, then the
disk has lost records that were acknowledged: it reports `acknowledged_records_damaged` and goes on in a new segment
at the head's offset, so that no offset is ever used twice; readers meet a gap there. A head that is missing or damaged
is made anew from the segment. There are no index files: a seek reads at most one segment.

Limits. A forked child inherits locks: start processes with exec. Topic and group names are of A–Z a–z 0–9 _ - .
"""
