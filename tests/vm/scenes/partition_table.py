"""Disks with a GPT made for blocks of a given size, written byte by byte: a tool would choose the size by itself."""
import pathlib
import struct
import uuid
import zlib

LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le
ENTRIES = 128
ENTRY_BYTES = 128


def write(disk: pathlib.Path, block: int, size: int, content: bytes) -> None:
    """A disk of `size` bytes with one partition, from 1 MiB to 1 MiB before the end, that begins with `content`."""
    blocks = size // block
    first, last = (1 << 20) // block, (size - (1 << 20)) // block - 1
    entry = LINUX + uuid.uuid4().bytes_le + struct.pack("<QQQ", first, last, 0) + bytes(72)
    entries = entry.ljust(ENTRIES * ENTRY_BYTES, b"\0")
    entry_blocks = len(entries) // block
    disk_id = uuid.uuid4().bytes_le

    def header(own: int, other: int, table: int) -> bytes:
        def packed(checksum: int) -> bytes:
            return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other, 2 + entry_blocks,
                               blocks - entry_blocks - 2, disk_id, table, ENTRIES, ENTRY_BYTES, zlib.crc32(entries))
        return packed(zlib.crc32(packed(0)))

    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, min(blocks - 1, 0xffffffff))
    with disk.open("wb") as file:
        file.truncate(size)
        for at, data in ((446, protective), (510, b"\x55\xaa"), (block, header(1, blocks - 1, 2)), (2 * block, entries),
                         ((blocks - 1 - entry_blocks) * block, entries), ((blocks - 1) * block, header(blocks - 1, 1, blocks - 1 - entry_blocks)),
                         (first * block, content)):
            file.seek(at)
            file.write(data)
