"""The double of the gateway's book: lists in files, for tests of the gateway's judgement alone.

Box NAME: `boxes/NAME.pem`. Project NAME: beside what is really there, its levels and two lists of
cards, one for each way of being enrolled. What the real book makes of acts, test_book.py says; it
holds both to the same contract.
"""

from functools import partial
from pathlib import Path

from sdbox_agent.errors import Refused
from sdbox_agent.terms import Level
from sdbox_centre.book import Book, ProjectFile, pools
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.gateway import Project, Way
from sdbox_centre.tomlfile import load
from sdbox_centre.window import Planned


class ListedProject(ProjectFile, frozen=True, kw_only=True):
    levels: tuple[Level, ...]
    cards: tuple[str, ...] = ()  # SHA-256 of their 9A certificates
    pin_cards: tuple[str, ...] = ()


LISTS = {"levels", "cards", "pin_cards"}


def unlisted(project: Path) -> None:
    """Without the double's lists: as the real book reads a project, of which acts say the rest."""
    lines = project.read_text().splitlines(keepends=True)
    project.write_text("".join(line for line in lines if line.split(" ")[0] not in LISTS))


class Listed(Book):
    def __init__(
        self, boxes: Path, projects: Path, carrier: tuple[str, Path] | None = None
    ) -> None:
        super().__init__(None, projects, carrier)
        self._boxes, self._listed = boxes, projects

    def keep(self, statement: bytes) -> None:
        """Believes its files only."""

    def window(self) -> Planned | None:
        """Nobody planned one."""

    def stamp(self) -> object:
        """Files are replaced, or written anew, which changes them or their directory."""
        seen = (path.stat() for path in (self._boxes, *sorted(self._listed.glob("*.toml"))))
        return tuple((status.st_mtime_ns, status.st_ino) for status in seen)

    def box(self, name: str) -> bytes:
        try:
            (certificate,) = certificates_of(self._boxes / f"{name.replace('/', '_')}.pem")
        except OSError:
            raise Refused("box-refused") from None
        return certificate

    def project(self, name: str) -> Project:
        listed = self._of(name)
        return Project(
            name=name,
            levels=frozenset(level.value for level in listed.levels),
            way=partial(self._way, name),
            endpoint=listed.endpoint,
            pools=pools(listed),
        )

    def _way(self, project: str, card: bytes) -> Way | None:
        listed = self._of(project)
        if card.hex() in listed.cards:
            return "finger"
        return "no-finger" if card.hex() in listed.pin_cards else None

    def _of(self, name: str) -> ListedProject:
        path = self._listed / f"{name.replace('/', '_')}.toml"
        if not path.is_file():
            raise Refused("project-not-granted")
        return load(path, ListedProject)
