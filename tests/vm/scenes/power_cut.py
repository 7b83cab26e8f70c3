#!/usr/bin/python3
"""What a server promised, against what its disk would hold after a power cut at any moment.

    power_cut.py URI SEED   writes records through two connections, with FUA and with flushes by a third, and prints what
                            it sent and what it was promised, in the order of these events

dm-log-writes notes what reached the disk, in the order in which it is there for certain: a write when a flush that began
after it has ended, or at once with FUA (Documentation/admin-guide/device-mapper/log-writes.rst, the format is in
drivers/md/dm-log-writes.c). Every prefix of its log is what a power cut may leave. No clock is needed to know what had been
promised by then: a record that is in the prefix was sent before the cut, and so came every promise that was received before
that record was sent.
"""

import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORD = 4096
SLOTS = 512
FUA_SLOTS = range(SLOTS, SLOTS + 64)
ROUNDS = 150
MAGIC = b"HOLDFAST-RECORD "
SUPER = struct.Struct("<QQQI")  # magic, version, entries, the size of a sector
ENTRY = struct.Struct("<QQQQ")  # sector, sectors, flags, length of the data within the entry
FLUSH, FUA, DISCARD = 1, 2, 4


def record(number: int) -> bytes:
    """4096 bytes that are made from a number alone."""
    return MAGIC + struct.pack(">Q", number) + random.Random(number).randbytes(RECORD - len(MAGIC) - 8)


@dataclass
class Verdict:
    """What was found: how often the power may have been cut, how many of the promises were asked about."""
    cuts: int = 0
    flushes: int = 0
    promises: int = 0
    missing: str = ""  # the first promise that a cut breaks


def load(uri: str, seed: int) -> None:
    import nbd  # only here: the tests' own Python need not have it
    chance = random.Random(seed)
    handles = [nbd.NBD() for _ in range(3)]
    for handle in handles:
        handle.connect_uri(uri)
    number = 0
    for _ in range(ROUNDS):
        sent: list[tuple[int, int]] = []
        cookies: list[tuple[object, int]] = []
        # Several at once on two connections, at places that are not in order, none twice.
        for slot in chance.sample(range(SLOTS), chance.randint(1, 8)):
            number += 1
            handle = handles[number % 2]
            print("sent", slot, number)
            sent.append((slot, number))
            cookies.append((handle, handle.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(record(number))), slot * RECORD)))
        for handle, cookie in cookies:
            while not handle.aio_command_completed(cookie):
                handle.poll(-1)
        for slot, written in sent:
            print("written", slot, written)
        if chance.random() < 0.5:
            number += 1
            # Places that have nothing but FUA: dm-log-writes notes an unflushed write to the same place after it, although
            # no disk would put an older record over a newer one.
            slot = chance.choice(FUA_SLOTS)
            print("sent", slot, number)
            handles[0].pwrite(record(number), slot * RECORD, nbd.CMD_FLAG_FUA)
            print("durable", slot, number)
        if chance.random() < 0.7:
            handles[2].flush()  # not the connections that wrote
            print("flushed")
    for handle in handles:
        handle.shutdown()


def entries(log: Path) -> Iterator[tuple[int, int, bytes]]:
    """Flags, first byte on the disk, data. Entries without data have none, discards neither."""
    with log.open("rb") as file:
        magic, version, count, sector = SUPER.unpack(file.read(SUPER.size))
        assert (magic, version) == (0x6A736677736872, 1), f"{log} is no log: {magic:x}, version {version}"
        at = sector
        for _ in range(count):
            file.seek(at)
            place, sectors, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
            at += sector
            if flags & DISCARD or not sectors:
                yield flags, place * sector, b""
                continue
            file.seek(at)
            yield flags, place * sector, file.read(sectors * sector)
            at += sectors * sector


def promises(events: list[str], every_write: bool) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """When each record was sent; and what was promised, as (when, slot, record), in order. Times are places in `events`."""
    when_sent: dict[int, int] = {}
    promised: list[tuple[int, int, int]] = []
    unflushed: list[tuple[int, int]] = []
    for when, line in enumerate(events):
        what, *numbers = line.split()
        slot, number = map(int, numbers) if numbers else (0, 0)
        if what == "sent":
            when_sent[number] = when
        elif what == "durable" or (what == "written" and every_write):
            promised.append((when, slot, number))
        elif what == "written":
            unflushed.append((slot, number))
        elif what == "flushed":
            promised += [(when, *one) for one in unflushed]
            unflushed.clear()
    return when_sent, promised


def verify(log: Path, events: list[str], every_write: bool) -> Verdict:
    """every_write: its reply alone is a promise (cache = writethrough and directsync)."""
    when_sent, promised = promises(events, every_write)
    verdict = Verdict()
    there: dict[int, int] = {}   # the record in each slot, at this cut
    needed: dict[int, int] = {}  # the record, or a later one, that must be there
    horizon = 0
    for flags, start, data in entries(log):
        verdict.cuts += 1
        verdict.flushes += flags & FLUSH
        touched = []
        for at in range(-start % RECORD, len(data) - RECORD + 1, RECORD):
            if data[at:at + len(MAGIC)] != MAGIC:
                continue
            slot, number = (start + at) // RECORD, struct.unpack_from(">Q", data, at + len(MAGIC))[0]
            if data[at:at + RECORD] != record(number):
                verdict.missing = f"cut {verdict.cuts}: slot {slot} has a torn record {number}"
                return verdict
            there[slot] = number
            touched.append(slot)
            horizon = max(horizon, when_sent[number])
        while verdict.promises < len(promised) and promised[verdict.promises][0] < horizon:
            _, slot, number = promised[verdict.promises]
            needed[slot] = max(needed.get(slot, 0), number)
            touched.append(slot)
            verdict.promises += 1
        for slot in touched:
            if there.get(slot, 0) < needed.get(slot, 0):
                verdict.missing = (f"cut {verdict.cuts}: slot {slot} has record {there.get(slot, 0)}, and {needed[slot]} had been "
                                   "promised")
                return verdict
    return verdict


if __name__ == "__main__":
    load(sys.argv[1], int(sys.argv[2]))
