"""Context of a test: creates images, networks and machines, names their logs, and ends all of them with the test."""

import contextlib
import pathlib
from collections.abc import Mapping, Sequence

from lab import images, layer, network, paths, process, progress
from lab.failure import Failure
from lab.machine import Machine

ROOT = "root=/dev/vda ro"


class Lab:
    """Lab of one test. `logs` is kept for reading afterwards, `scratch` is removed with the test."""

    def __init__(self, logs: pathlib.Path) -> None:
        self.logs = logs
        self.scratch = logs / "scratch"
        self.scratch.mkdir(parents=True, exist_ok=True)
        self.build = paths.BUILD
        self.machines: list[Machine] = []
        self._ending = contextlib.ExitStack()
        self._copies = 0

    def image(self, kind: str = "client", release: int = 12, *, packages: Sequence[str] = (), customise: str = "",
              programs: bool = True, files: Mapping[str, str] | None = None, commands: Sequence[str] = (),
              size: str = layer.SIZE, modules: Sequence[pathlib.Path] = ()) -> layer.Image:
        """Image of Debian 12 or 13 from the cache, or built now (excluded from the time limit of the test).

        packages and customise go into the Debian tree (half a minute when they change), files and commands on top of
        it (some seconds), beside our programs. With modules it is a system with SELinux, which has them.
        """
        with progress.off_the_clock():
            base = images.base(kind, release, tuple(packages), customise)
            return layer.image(base, programs=programs, files=files, commands=commands, size=size, modules=modules)

    def copy(self, image: layer.Image, name: str | None = None) -> pathlib.Path:
        """Private disk with the file system of the image."""
        return image.copy(self._disk(name))

    def copy_partitioned(self, image: layer.Image, name: str | None = None) -> pathlib.Path:
        """The same, in the first partition of a GPT."""
        return image.copy_partitioned(self._disk(name))

    def blank_disk(self, size: int, name: str | None = None) -> pathlib.Path:
        """Disk of zeros, size in MiB."""
        path = self._disk(name)
        with path.open("wb") as file:
            file.truncate(size << 20)
        return path

    def network(self, ipv6: bool = False) -> network.Network:
        """Network confined to this host; see network.py for its cards."""
        return self._ending.enter_context(network.Network(self.logs, ipv6))

    def machine(self, name: str, **options) -> Machine:
        """Start a machine; options as for Machine."""
        machine = self._ending.enter_context(Machine(name, self.logs, **options))
        self.machines.append(machine)
        return machine

    def boot(self, name: str, image: layer.Image, *, disks: Sequence[pathlib.Path] | None = None, append: str = ROOT,
             **options) -> Machine:
        """Start a machine with the kernel and initramfs of the image, and (by default) a copy of its disk as
        /dev/vda."""
        disks = [self.copy(image, name)] if disks is None else disks
        return self.machine(name, kernel=image.kernel, initrd=image.initrd, append=append, disks=disks, **options)

    def check_file_system(self, disk: pathlib.Path) -> None:
        """Fail unless the file system on the disk (or in the file) is clean."""
        process.output_of(["e2fsck", "-f", "-n", disk])

    def require(self, condition: object, message: str) -> None:
        """Fail with the message unless the condition holds."""
        if not condition:
            raise Failure(message)

    def close(self) -> None:
        """End everything that the test started, in reverse order."""
        self._ending.close()

    def _disk(self, name: str | None) -> pathlib.Path:
        self._copies += 1
        return self.scratch / f"{name or 'disk'}-{self._copies}.raw"
