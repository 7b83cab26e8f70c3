"""The virtual-machine lab: real kernels under QEMU's plain emulation, driven over a serial console.

A test imports what it needs from here: `from lab import Lab, test`.
"""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2]))  # for harness

from harness.registry import test  # noqa: E402 (its folder is on the path only now)

from lab.context import Lab  # noqa: E402
from lab.failure import Failure  # noqa: E402

__all__ = ["Failure", "Lab", "test"]
