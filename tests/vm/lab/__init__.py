"""The virtual-machine lab: real kernels under QEMU's plain emulation, driven over a serial console.

A test imports what it needs from here: `from lab import Lab, test`.
"""

from lab.context import Lab
from lab.failure import Failure
from lab.registry import test

__all__ = ["Failure", "Lab", "test"]
