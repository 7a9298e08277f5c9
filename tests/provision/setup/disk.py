"""The double of setup's tree: directories that forget, and every disk a power cut may leave."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from typing_extensions import override

from sdbox_agent.provision.setup.tree import Place, Tree
from sdbox_agent.state.filesystem import FileSystem
from sdbox_agent.state.model import ModelFileSystem, PowerCut

Contents = dict[str, dict[str, bytes]]  # of directories: path -> name -> bytes


class Steps:
    """One count over all directories: the power fails, or the disk, at one number of it."""

    def __init__(self, cut_at: int | None = None, fail: dict[int, int] | None = None) -> None:
        self.cut_at, self.fail, self.taken = cut_at, fail or {}, 0

    def take(self, do: Callable[[], None] | None) -> None:
        number, self.taken = self.taken, self.taken + 1
        if number == self.cut_at:
            if do:
                do()
            raise PowerCut
        if number in self.fail:
            raise OSError(self.fail[number], "the disk failed")
        if do:
            do()


@dataclass(frozen=True)
class Unlink:
    name: str

    def apply(self, names: dict) -> None:
        names.pop(self.name, None)


class Directory(ModelFileSystem):
    """Counts with all others, and can remove."""

    def __init__(self, steps: Steps | None = None) -> None:
        super().__init__()
        self.steps = steps or Steps()

    @override
    def _step(self, do: Callable[[], None] | None = None) -> None:
        self.steps.take(do)

    def unlink(self, name: str) -> None:
        def do() -> None:
            change = Unlink(name)
            change.apply(self._names)
            self._pending.append(change)  # type: ignore[arg-type]

        if name in self._names:
            self._step(do)


class ModelTree(Tree):
    """Directories are names in one more of them: made, given away, and durable when that is so."""

    def __init__(self, contents: Contents | None = None, steps: Steps | None = None) -> None:
        self.steps = steps or Steps()
        self.modes: dict[str, Place] = {}
        self._directories = {path: self._of(files) for path, files in (contents or {}).items()}
        self._known = self._of({self._key(path): b"" for path in contents or {}})

    def _of(self, files: dict[str, bytes]) -> Directory:
        directory = Directory.of(files)
        assert isinstance(directory, Directory)
        directory.steps = self.steps
        return directory

    @staticmethod
    def _key(path: str) -> str:
        return path

    def make(self, place: Place) -> None:
        self.modes[place.path] = place
        if self._key(place.path) not in self._known.contents():
            self._known.write(self._key(place.path), b"")
            self._directories[place.path] = self._of({})
            self._known.sync_directory()

    @contextlib.contextmanager
    def within(self, place: Place) -> Iterator[FileSystem]:
        if self._key(place.path) not in self._known.contents():
            raise FileNotFoundError(place.path)
        yield self._directories[place.path]

    def remove(self, place: Place, name: str) -> None:
        directory = self._directories.get(place.path)
        if directory is not None and name in directory.contents():
            directory.unlink(name)
            directory.sync_directory()

    def empty(self, path: str, last: str = "") -> None:
        inside = sorted(each for each in self._directories if each.startswith(path + "/"))
        for each in (*reversed(inside), path):
            directory = self._directories.get(each)
            if directory is not None:
                for name in sorted(directory.contents()):
                    if not (each == path and name == last):
                        directory.unlink(name)
                directory.sync_directory()
        for each in inside:
            self._known.unlink(self._key(each))
            del self._directories[each]
        self._known.sync_directory()
        self.remove(Place(path), last)

    def is_empty(self, path: str) -> bool:
        inside = [each for each in self._directories if each.startswith(path + "/")]
        return not inside and not self._directories.get(path, Directory()).contents()

    def contents(self) -> Contents:
        """What a reader sees now."""
        there = self._known.contents()
        return {
            path: files.contents()
            for path, files in self._directories.items()
            if self._key(path) in there
        }

    def after_cut(self) -> Iterator[Contents]:
        """Every disk that a cut now may leave."""
        each = {path: list(files.after_cut()) for path, files in self._directories.items()}
        for known in self._known.after_cut():
            there = known.contents()
            paths = [path for path in each if self._key(path) in there]
            for chosen in itertools.product(*(each[path] for path in paths)):
                yield {path: files.contents() for path, files in zip(paths, chosen, strict=True)}
