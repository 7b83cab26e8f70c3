"""A file system with one file whose disk hangs when a test says so: FUSE, spoken in Python. Needs root and /dev/fuse."""
import ctypes
import errno
import os
import struct
import threading
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_FORCE, MNT_DETACH = 1, 2
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, BATCH_FORGET = \
    1, 2, 3, 4, 14, 15, 16, 18, 20, 25, 26, 36, 42
ROOT, FILE = 1, 2


class HangingDisk:
    """A folder with the file `disk` in it. The calls of the kernel whose codes are in `hang` get no answer; release() gives it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.path = folder / "disk"
        self.content = bytearray(size)
        self.hang: set[int] = set()
        self.keeps_pages = False  # an open of the file waits for no write that hangs
        self.held: list[tuple[int, bytes]] = []
        self.waiting = threading.Condition()
        folder.mkdir()
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if LIBC.mount(b"hanging", str(folder).encode(), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self) -> "HangingDisk":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends every call that waits, with an error."""
        LIBC.umount2(str(self.folder).encode(), MNT_FORCE | MNT_DETACH)
        os.close(self.device)
        self.folder.rmdir()

    def wait_for_hanging(self, call: int, seconds: float = 60) -> None:
        with self.waiting:
            assert self.waiting.wait_for(lambda: any(self._code(one) == call for _, one in self.held), seconds), \
                f"waited {seconds} s for the call {call} to hang"

    def release(self) -> None:
        with self.waiting:
            self.hang = set()
            held, self.held = self.held, []
        for unique, request in held:
            self._answer(unique, request)

    @staticmethod
    def _code(request: bytes) -> int:
        return struct.unpack_from("<I", request, 4)[0]

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self.device, 1 << 21)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                    continue
                return  # unmounted
            unique = struct.unpack_from("<Q", request, 8)[0]
            with self.waiting:
                if self._code(request) in self.hang:
                    self.held.append((unique, request))
                    self.waiting.notify_all()
                    continue
            self._answer(unique, request)

    def _attributes(self, node: int) -> bytes:
        mode, size = (0o40755, 0) if node == ROOT else (0o100666, len(self.content))
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def _answer(self, unique: int, request: bytes) -> None:
        code = self._code(request)
        if code in (FORGET, INTERRUPT, BATCH_FORGET):
            return
        result = self._result(code, struct.unpack_from("<Q", request, 16)[0], request[40:])
        error, data = (-result, b"") if isinstance(result, int) else (0, result)
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
        except OSError:
            pass  # who asked has been killed

    def _result(self, code: int, node: int, body: bytes) -> bytes | int:
        if code == INIT:
            return struct.pack("<IIIIHHIIHH8I", 7, 31, 1 << 17, 0, 64, 48, 1 << 17, 1, 0, 0, *([0] * 8))
        if code == LOOKUP:
            if body.rstrip(b"\0") != b"disk":
                return errno.ENOENT
            return struct.pack("<QQQQII", FILE, 0, 0, 0, 0, 0) + self._attributes(FILE)
        if code in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if code == OPEN:
            keep_cache = 2
            return struct.pack("<QII", 0, keep_cache if self.keeps_pages else 0, 0)
        if code == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self.content[offset:offset + size])
        if code == WRITE:
            _, offset, size = struct.unpack_from("<QQI", body)
            self.content[offset:offset + size] = body[40:40 + size]
            return struct.pack("<II", size, 0)
        return b"" if code in (FLUSH, FSYNC, RELEASE) else errno.ENOSYS
