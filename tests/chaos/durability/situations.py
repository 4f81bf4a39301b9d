"""System calls made by hand, as a node below /t would make them."""

from pathlib import Path
from random import Random

from chaos.durability.cuts import everything, nothing
from chaos.durability.disk import Disk, Image
from chaos.durability.strace import Call, Value

ROOT = Path("/t")


class Program:
    """Makes calls one after the other, each ended before the next begins."""

    def __init__(self) -> None:
        self.disk = Disk(ROOT)
        self._place = 0

    def call(self, name: str, *arguments: Value, result: int = 0, lasts: int = 0) -> None:
        """One call; `lasts` so many places longer than others."""
        self._place += 1
        call = Call(name, arguments, result, self._place, self._place + lasts)
        self.disk.perform(call)

    def open(self, path: str, flags: str = "O_RDWR|O_CREAT", fd: int = 5) -> None:
        self.call("openat", "AT_FDCWD", path.encode(), flags, "0600", result=fd)

    def write(self, data: bytes, offset: int = 0, fd: int = 5) -> None:
        self.call("pwrite64", str(fd), data, str(len(data)), str(offset), result=len(data))

    def sync(self, fd: int = 5) -> None:
        self.call("fsync", str(fd))

    def sync_directory(self, path: str = "/t") -> None:
        self.open(path, "O_RDONLY|O_DIRECTORY", fd=9)
        self.sync(9)
        self.call("close", "9")

    def file(self, path: str, data: bytes) -> None:
        """A file that is sure, and stays open."""
        self.open(path)
        self.write(data)
        self.sync()
        self.sync_directory()


def lost(disk: Disk) -> dict[str, bytes | None]:
    """What is there if all is lost that may be."""
    return readable(disk.after(nothing(disk.pending, Random(1))))


def kept(disk: Disk) -> dict[str, bytes | None]:
    """What is there if nothing is lost."""
    return readable(disk.after(everything(disk.pending, Random(1))))


def readable(image: Image) -> dict[str, bytes | None]:
    return {str(path): content for path, content in image.items()}
