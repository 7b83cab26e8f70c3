#!/usr/bin/python3
"""A client of one connection that does what it is told and says how each request went.

    nbd_client.py URI WORD...
        write:OFFSET:LENGTH  fua:OFFSET:LENGTH  read:OFFSET:LENGTH  flush
        wait:PATH            until there is a file of this name

Each word is repeated on a line of its own, with "ok" or the name of the error.
"""

import errno
import sys
import time
from pathlib import Path

import nbd


def carry_out(handle: nbd.NBD, word: str) -> None:
    what, *values = word.split(":")
    if what == "flush":
        handle.flush()
    elif what == "read":
        handle.pread(int(values[1]), int(values[0]))
    elif what == "wait":
        while not Path(values[0]).exists():
            time.sleep(0.05)
    else:
        handle.pwrite(b"\xa5" * int(values[1]), int(values[0]), nbd.CMD_FLAG_FUA if what == "fua" else 0)


def main() -> None:
    handle = nbd.NBD()
    handle.connect_uri(sys.argv[1])
    for word in sys.argv[2:]:
        try:
            carry_out(handle, word)
            outcome = "ok"
        except nbd.Error as error:
            outcome = errno.errorcode.get(error.errnum, str(error))
        print(word, outcome, flush=True)
    handle.shutdown()


main()
