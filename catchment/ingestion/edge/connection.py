"""One client: its bytes in, its answers out, in order.

    HEAD ──▶ BODY ──▶ HEAD …    the ordinary round
    HEAD ──▶ DROP ──▶ HEAD …    refused, and the body is short enough to read and drop
    any  ──▶ LAST               an answer that ends the connection is on its way; input is dropped

`data_received` has a short cut for the ordinary case, a whole request in one piece. Everything else goes through
`_feed`, which takes the same bytes cut anywhere (a property test holds the two together). Memory: an incomplete head
(bounded), a body (room for it is reserved first), and, while reading is held back, at most one read of the socket.
"""

from __future__ import annotations

import asyncio
from typing import cast

from catchment.ingestion.edge.answers import (
    BODY_TOO_LARGE,
    BUSY,
    CONTINUE,
    DRAINING,
    HEADER_TOO_LARGE,
    MALFORMED,
    NO_LENGTH,
    TOO_SLOW,
    URI_TOO_LONG,
    Refusal,
)
from catchment.ingestion.edge.bodies import ChunkedBody, DroppedBody, FixedBody
from catchment.ingestion.edge.checks import operational
from catchment.ingestion.edge.envelope import content_head
from catchment.ingestion.edge.head import Head, Refused, has_lone_end, read_head
from catchment.ingestion.edge.meters import DROPPED
from catchment.ingestion.edge.room import Room
from catchment.ingestion.edge.rules import OPERATIONAL, closes_after, judge

HEAD, BODY, DROP, LAST = range(4)
PIPELINE, MEMORY, UNREAD = 1, 2, 4
_WRITE_BUFFER_BYTES = 64 * 1024
_SHORTEST_LINE = len(b"PUT  HTTP/1.1\r\n")


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 with one client."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._phase = HEAD
        self._rest = b""
        self._body: FixedBody | ChunkedBody | DroppedBody
        self._reserved = 0
        self._unanswered = 0
        self._holds = 0
        self._ends = False
        self._lingers = False
        self._has_eof = False
        self._owes_continue = False
        self._unread_since_s = 0.0
        self.since_s = room.now_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        room = self._room
        room.connections.add(self)
        self.since_s = room.clock.monotonic_s()
        peer = transport.get_extra_info("peername") if room.settings.store_remote_addr else None
        self._remote = room.envelope.remote(str(peer[0]) if peer else "")
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if len(room.connections) > room.max_connections:
            DROPPED.labels("limit").inc()
            room.meters.refused[BUSY.status] += 1
            self._phase = LAST
            self._transport.write(room.answers.of(BUSY, close=True))
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.connections.discard(self)
        self._give_back()
        self._phase = LAST
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        room = self._room
        if self._phase == HEAD and not self._rest and not room.is_draining:
            line = room.ordinary.match(data)
            if line is not None:
                start = line.end()
                end = data.find(b"\r\n\r\n", start) + 2
                raw = data[start:end]
                block = room.blocks.known.get(raw) or (room.blocks.learn(raw) if end > start else None)
                if (
                    block is not None
                    and len(data) == end + 2 + block.plain_length
                    and start - _SHORTEST_LINE <= room.settings.max_uri_bytes
                    and not self._is_crowded()
                ):
                    path, args = line.groups()
                    envelope = room.envelope
                    self._unanswered += 1
                    room.committer.accept(
                        self,
                        envelope.seal(
                            envelope.uuid(),
                            room.stamp or room.new_stamp(),
                            self._remote,
                            path,
                            args or None,
                            block.fields,
                            data[end + 2 :],
                        ),
                    )
                    return
        self._feed(data)

    def eof_received(self) -> bool:
        """The client sends no more. It may still read: what it sent whole is answered, a torn request gets 400."""
        self._has_eof = True
        if self._phase == LAST:
            return self._unanswered > 0
        if self._rest or self._phase == BODY:
            self._give_back()
            self._end_with(MALFORMED)
        elif self._unanswered:
            self._ends, self._phase = True, LAST
        else:
            return False
        return True

    def pause_writing(self) -> None:
        self._unread_since_s = self._room.clock.monotonic_s()
        self._hold(UNREAD)

    def resume_writing(self) -> None:
        self._release(UNREAD)

    # answers

    def answer(self, refusal: Refusal | bytes | None) -> None:
        """Give the oldest unanswered request its answer: None for 200, a refusal, or bytes rendered before."""
        room = self._room
        self._unanswered -= 1
        self.since_s = room.now_s
        transport = self._transport
        if transport.is_closing():
            room.meters.unheard += 1
            return
        ends = self._ends and self._unanswered == 0
        if refusal is None:
            transport.write(room.answers.ok_close if ends else room.answers.ok)
        elif isinstance(refusal, bytes):
            transport.write(refusal)
        else:
            room.meters.refused[refusal.status] += 1
            transport.write(room.answers.of(refusal, close=ends))
        if ends:
            self._finish()
        elif self._owes_continue and self._unanswered == 0:
            self._owes_continue = False
            transport.write(CONTINUE)
        if self._holds & PIPELINE and self._unanswered <= room.settings.max_pipelined // 2:
            self._release(PIPELINE)

    def _give(self, answer: bytes, *, ends: bool) -> None:
        """Send an answer that does not depend on the log, in its turn. With `ends` it is the last."""
        if ends:
            self._ends, self._lingers, self._phase, self._rest = True, True, LAST, b""
        if self._unanswered:
            self._unanswered += 1
            self._room.committer.refuse(self, answer)
            return
        if not self._transport.is_closing():
            self._transport.write(answer)
            if ends:
                self._finish()

    def _end_with(self, refusal: Refusal) -> None:
        """Refuse, and end the connection."""
        self._room.meters.refused[refusal.status] += 1
        self._give(self._room.answers.of(refusal, close=True), ends=True)

    def _finish(self) -> None:
        """After the last answer. Closing at once, with input unread, would reset the connection and could take the
        answer from the client; so after a refusal the client is read on for a while."""
        self.since_s = self._room.clock.monotonic_s()
        if self._lingers and not self._has_eof:
            self._transport.write_eof()
            self._release(self._holds)
        else:
            self._transport.close()

    # input

    def _feed(self, data: bytes) -> None:
        """Take bytes that may hold any part of any number of requests."""
        rest: bytes | None = self._rest + data if self._rest else data
        was_waiting = bool(self._rest)
        self._rest = b""
        try:
            while rest:
                if self._phase == HEAD:
                    if self._is_crowded():
                        self._rest = rest
                        return
                    rest = self._take_head(rest, was_waiting)
                    was_waiting = False
                elif self._phase == BODY:
                    rest = self._take_body(rest)
                elif self._phase == DROP:
                    rest = self._body.feed(rest)
                    if rest is not None:
                        self._phase = HEAD
                else:
                    return
        except Refused as refused:
            self._give_back()
            self._end_with(refused.refusal)

    def _is_crowded(self) -> bool:
        """Whether no further request can be taken from this client now; then reading is held back."""
        room = self._room
        if self._unanswered >= room.settings.max_pipelined:
            self._hold(PIPELINE)
        if room.is_crowded and not room.is_draining:
            if not self._holds & MEMORY:
                room.held.append(self)
            self._hold(MEMORY)
        return bool(self._holds)

    def _take_head(self, rest: bytes, was_waiting: bool) -> bytes | None:
        room = self._room
        while rest[:2] == b"\r\n":  # an empty line before a request line is allowed
            rest = rest[2:]
        end = rest.find(b"\r\n\r\n") + 4
        if end < 4 or end > room.settings.max_head_bytes:
            self._await_head(rest, was_waiting, is_too_long=end >= 4 or len(rest) > room.settings.max_head_bytes)
            return None
        head = read_head(rest[:end], room.blocks)
        rest = rest[end:]
        refusal = judge(head, room.settings)
        if refusal is None and head.path in OPERATIONAL:
            self._answer_operational(head)
        elif refusal is not None:
            self._refuse(head, refusal)
        elif room.is_draining:
            self._refuse(head, DRAINING)
        else:
            self._begin_body(head, has_body_already=bool(rest))
        return rest

    def _await_head(self, rest: bytes, was_waiting: bool, *, is_too_long: bool) -> None:
        """Keep an incomplete head, unless it can be refused already."""
        if is_too_long:
            first_line = rest.find(b"\r\n")
            raise Refused(URI_TOO_LONG if first_line < 0 else HEADER_TOO_LARGE)
        if has_lone_end(rest) or (rest and not rest[:1].isalnum() and rest[:1] not in b"!#$%&'*+-.^_`|~\r"):
            raise Refused(MALFORMED)
        self._rest = rest
        if not was_waiting:
            self.since_s = self._room.clock.monotonic_s()

    def _begin_body(self, head: Head, *, has_body_already: bool) -> None:
        room = self._room
        block = head.block
        room_bytes = room.settings.max_body_bytes if block.is_chunked else block.length
        if room.in_flight_bytes + room_bytes > room.settings.max_in_flight_bytes:
            self._refuse(head, BUSY)
            return
        self._head = head
        self._reserved = room_bytes
        room.reserved_bytes += room_bytes
        self.since_s = room.clock.monotonic_s()
        if block.is_chunked:
            self._body = ChunkedBody(room.settings.max_body_bytes)
        elif block.length:
            self._body = FixedBody(block.length)
        else:
            self._accept(b"", block.fields)
            return
        self._phase = BODY
        if block.expects_continue and not has_body_already:
            if self._unanswered:
                self._owes_continue = True
            else:
                self._transport.write(CONTINUE)

    def _take_body(self, rest: bytes) -> bytes | None:
        after = self._body.feed(rest)
        if after is not None:
            block, body = self._head.block, bytes(self._body.body)
            del self._body
            self._accept(body, block.fields + content_head(len(body)) if block.is_chunked else block.fields)
        return after

    def _accept(self, body: bytes, fields: bytes) -> None:
        """The request is complete: hand its message to the log."""
        room, head = self._room, self._head
        self._give_back()
        self._owes_continue = False
        self._phase = HEAD
        if room.is_draining or not head.block.keeps_alive:
            self._ends, self._phase = True, LAST
        self._unanswered += 1
        envelope, stamp = room.envelope, room.stamp or room.new_stamp()
        room.committer.accept(
            self, envelope.seal(envelope.uuid(), stamp, self._remote, head.path, head.args, fields, body)
        )

    def _refuse(self, head: Head, refusal: Refusal) -> None:
        """Refuse a well-formed request before its body is read."""
        room = self._room
        ends = closes_after(head, refusal) or refusal in (NO_LENGTH, BODY_TOO_LARGE, DRAINING)
        room.meters.refused[refusal.status] += 1
        answer = room.answers.of(refusal, close=ends, head_only=head.method == b"HEAD")
        self._give(answer, ends=ends)
        self._drop_body(head)

    def _answer_operational(self, head: Head) -> None:
        room = self._room
        ends = closes_after(head, None) or room.is_draining
        found = operational(head.path, room.checks)
        answer = room.answers.document(*found, close=ends, head_only=head.method == b"HEAD")
        self._give(answer, ends=ends)
        self._drop_body(head)

    def _drop_body(self, head: Head) -> None:
        """The request was answered before its body came: read and drop that."""
        if self._phase == HEAD and head.block.length > 0:
            self._phase, self._body = DROP, DroppedBody(head.block.length)
            self.since_s = self._room.clock.monotonic_s()

    def _give_back(self) -> None:
        """Return the room that was reserved for a body."""
        self._room.reserved_bytes -= self._reserved
        self._reserved = 0

    # reading held back

    def _hold(self, reason: int) -> None:
        if not self._holds and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= reason

    def _release(self, reasons: int) -> None:
        was_held = self._holds
        self._holds &= ~reasons
        if was_held and not self._holds:
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        """Take what was read before the hold; only then read on, so that the end of input cannot overtake it."""
        if self._holds or self._transport.is_closing():
            return
        self.since_s = self._room.clock.monotonic_s()
        self._feed(b"")
        if not self._holds:
            self._transport.resume_reading()

    def release_memory_hold(self) -> None:
        self._release(MEMORY)

    def look_at_deadlines(self, now_s: float) -> None:
        """End the connection when its client has been too slow in whatever it is doing."""
        settings = self._room.settings
        waited_s = now_s - self.since_s
        if self._holds & UNREAD and now_s - self._unread_since_s > settings.write_s:
            DROPPED.labels("unread_answers").inc()
            self._transport.abort()
        elif self._unanswered or self._holds:
            return  # the client waits for the edge; `Committer.give_up` bounds that
        elif self._ends:
            if waited_s > settings.linger_s:
                self._transport.abort()
        elif self._phase != HEAD:
            if self._body.received < (waited_s - settings.body_grace_s) * settings.min_body_rate:
                self._end_slow("slow_body")
        elif self._rest:
            if waited_s > settings.head_s:
                self._end_slow("slow_head")
        elif waited_s > settings.keep_alive_s:
            DROPPED.labels("idle").inc()
            self._transport.close()

    def _end_slow(self, reason: str) -> None:
        DROPPED.labels(reason).inc()
        self._give_back()
        self._end_with(TOO_SLOW)

    def drain(self) -> None:
        """A stop was asked for: close when nothing is in progress."""
        if self._phase == HEAD and not self._rest and not self._unanswered:
            self._transport.close()
        elif self._phase == HEAD and not self._rest:
            self._ends, self._phase = True, LAST

    def abort(self) -> None:
        self._transport.abort()
