"""Deciding which sightings are repeats, and entering them into the generations of ids that they concern; noting those
that come by another way than the log.

A sighting of a key at a time is compared with what the half-windows around that time know of the key (two before and
two after it; what is farther away is more than a window away):

    nothing within the window             it is accepted, and entered into its own half-window with its place in the log
    its own half-window accepted it       the same record again: accepted, nothing changes
    anything else                         a repeat: its own half-window knows its time now

Each decision is entered before the next one is taken, so a process that is killed leaves the decisions over the first
so many sightings of a batch, and marking the batch again gives the same answers. What a decision was based on goes into
this process's journals, too, whoever had stored it.

`mark` is in C where a compiler was (`_idtable.c`); `mark_plainly` is the same in Python alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from catchment.ingestion import idtable
from catchment.ingestion.sightings import Generation, Slot, pack, unpack

Sighted = tuple[bytes, int, int, int, int]
"""Key, submission_ns, topic, partition, offset."""


class Repeat(NamedTuple):
    """That a document was here before, and how far away in message time (ns, ≥ 0)."""

    delta_ns: int


class Accepted(NamedTuple):
    """The place in topic raw of a document that was accepted."""

    partition: int
    offset: int


def mark(
    sightings: Sequence[Sighted], half_ns: int, window_ns: int, generations: Mapping[int, Generation]
) -> list[Repeat | None]:
    """Decide over sightings in their order: None or a Repeat for each.

    Takes the generations of their half-windows, in which room is reserved, and those around them that are there. Raises
    Corrupt when a table contradicts itself.
    """
    if idtable.compiled is None:
        return mark_plainly(sightings, half_ns, window_ns, generations)
    tables = tuple(
        (number, generation.table.index, generation.table.entries, generation.pending)
        for number, generation in generations.items()
    )
    try:
        outcomes: list[Repeat | None] = idtable.compiled.mark(sightings, half_ns, window_ns, tables, Repeat)
    except LookupError as error:
        raise generations[error.args[0]].table.damaged() from error
    return outcomes


def mark_plainly(
    sightings: Sequence[Sighted], half_ns: int, window_ns: int, generations: Mapping[int, Generation]
) -> list[Repeat | None]:
    """`mark` in Python alone."""
    return [_decide(sighting, half_ns, window_ns, generations) for sighting in sightings]


def note(
    sightings: Sequence[Sighted], half_ns: int, window_ns: int, generations: Mapping[int, Generation]
) -> list[Accepted | None]:
    """Know the documents from here on, as if these were repeats; for each another one of it that was accepted near."""
    return [_note(sighting, half_ns, window_ns, generations) for sighting in sightings]


def _note(sighting: Sighted, half_ns: int, window_ns: int, generations: Mapping[int, Generation]) -> Accepted | None:
    key, time_ns, *place = sighting
    home = time_ns // half_ns
    near = _near(key, time_ns, half_ns, window_ns, generations)
    own = _widened(near[home], time_ns) if home in near else Slot(time_ns, time_ns, 0, 0, -1)
    _enter(key, home, own, near, generations)
    others = (slot for slot in near.values() if slot.offset >= 0 and list(slot[2:]) != place)
    return next((Accepted(slot.partition, slot.offset) for slot in others), None)


def _decide(sighting: Sighted, half_ns: int, window_ns: int, generations: Mapping[int, Generation]) -> Repeat | None:
    key, time_ns, topic, partition, offset = sighting
    home = time_ns // half_ns
    near = _near(key, time_ns, half_ns, window_ns, generations)
    own, is_accepted = near.get(home), not near
    if own is None:
        own = Slot(time_ns, time_ns, topic, partition, offset) if is_accepted else Slot(time_ns, time_ns, 0, 0, -1)
    elif own[2:] == (topic, partition, offset):
        is_accepted = True
    else:
        own = _widened(own, time_ns)
    _enter(key, home, own, near, generations)
    if is_accepted:
        return None
    return Repeat(min(min(abs(time_ns - slot.earliest_ns), abs(time_ns - slot.latest_ns)) for slot in near.values()))


def _near(
    key: bytes, time_ns: int, half_ns: int, window_ns: int, generations: Mapping[int, Generation]
) -> dict[int, Slot]:
    """What half-windows know of the key within the window; that of the time itself is within, if it knows it."""
    home = time_ns // half_ns
    near: dict[int, Slot] = {}
    for number in range(home - 2, home + 3):
        packed = generations[number].table.get(key) if number in generations else None
        if packed is not None:
            slot = unpack(packed)
            if slot.earliest_ns - window_ns <= time_ns <= slot.latest_ns + window_ns:
                near[number] = slot
    return near


def _widened(slot: Slot, time_ns: int) -> Slot:
    return slot._replace(earliest_ns=min(slot.earliest_ns, time_ns), latest_ns=max(slot.latest_ns, time_ns))


def _enter(key: bytes, home: int, own: Slot, near: Mapping[int, Slot], generations: Mapping[int, Generation]) -> None:
    """Store the slot of the key's own half-window where it is new, and journal all that the decision stands on."""
    if own != near.get(home):
        generations[home].table.put(key, pack(*own))
    for number, slot in sorted({**near, home: own}.items()):
        generations[number].pending += key + pack(*slot)
