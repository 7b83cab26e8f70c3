#!/usr/bin/python3
"""A client of one connection that does what it is told and says how each request went.

    nbd_client.py URI WORD...
        write:OFFSET:LENGTH[:BYTE]  fua:OFFSET:LENGTH[:BYTE]  flush
        zero:OFFSET:LENGTH          fast:OFFSET:LENGTH        write zeroes; with fast, only if that is quick
        read:OFFSET:LENGTH[:BYTE]   "differs" if not every byte of it is BYTE
        wait:PATH                   until there is a file of this name

Each word is repeated on a line of its own, with "ok" or the name of the error. A BYTE is two hexadecimal digits, a5 if none are given.
"""

import errno
import sys
import time
from pathlib import Path

import nbd

WRITES = {"write": 0, "fua": nbd.CMD_FLAG_FUA}
ZEROES = {"zero": 0, "fast": nbd.CMD_FLAG_FAST_ZERO}


def carry_out(handle: nbd.NBD, word: str) -> str:
    what, *values = word.split(":")
    offset, length = (int(value) for value in values[:2]) if len(values) > 1 else (0, 0)
    content = bytes.fromhex(values[2] if len(values) > 2 else "a5") * length
    if what == "flush":
        handle.flush()
    elif what == "read":
        if handle.pread(length, offset) != content and len(values) > 2:
            return "differs"
    elif what == "wait":
        while not Path(values[0]).exists():
            time.sleep(0.05)
    elif what in ZEROES:
        handle.zero(length, offset, ZEROES[what])
    else:
        handle.pwrite(content, offset, WRITES[what])
    return "ok"


def main() -> None:
    handle = nbd.NBD()
    handle.connect_uri(sys.argv[1])
    for word in sys.argv[2:]:
        try:
            outcome = carry_out(handle, word)
        except nbd.Error as error:
            outcome = errno.errorcode.get(error.errnum, str(error))
        print(word, outcome, flush=True)
    handle.shutdown()


main()
