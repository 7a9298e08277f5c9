"""Who owns what on a box, who may write it, and that nothing of it is a symlink. Pure."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.provision.doctor.finding import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdbox_agent.provision.doctor.finding import Finding

# systemd/sdbox.sysusers: the numbers are fixed
USERS: Final = {
    "sdbox": 61001,
    "sdbox-card": 61002,
    "sdbox-finger": 61003,
    "sdbox-tunnel": 61004,
    "sdbox-prompt": 61006,
    "sdbox-carrier": 61007,
    "sdbox-walls": 61008,
    "sdbox-console": 61009,
    "sdbox-pcscd": 61010,
}
GROUPS: Final = {"sdbox-peers": 61005}
MOST_TOLD: Final = 20

_ROOT: Final = 0
_WRITE: Final = 0o022
_ALL: Final = 0o077


@dataclass(frozen=True, slots=True)
class Rule:
    """Of everything at and below `path`: its owners, and the bits of mode that nobody may have."""

    path: str
    owners: tuple[int, ...]
    forbidden: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One name, as lstat(2) tells of it."""

    path: str
    mode: int
    owner: int


# The longest path that a name lies under has the say.
RULES: Final = (
    Rule("etc/sdbox", (_ROOT,), _WRITE),
    Rule("etc/sdbox/identity", (USERS["sdbox"], _ROOT), _ALL),
    Rule("var/lib/sdbox", (USERS["sdbox"],), _ALL),
    Rule("var/lib/sdbox/lost+found", (_ROOT,), _ALL),  # of a partition of its own
    Rule("usr/lib/sdbox-agent", (_ROOT,), _WRITE),
)
# An interpreter's environment is made of links too: one of root's is as good as a file.
_MAY_LINK: Final = "usr/lib/sdbox-agent"


def exposed(seen: Iterable[Seen]) -> Iterator[Finding]:
    """What another than its owner could change or read, or lead elsewhere."""
    told = 0
    for each in seen:
        reason = _objection(each, _rule(each.path))
        if reason and told < MOST_TOLD:
            told += 1
            yield failed("files", code="file-exposed", detail=f"/{each.path}: {reason}")


def _rule(path: str) -> Rule:
    inside = [rule for rule in RULES if path == rule.path or path.startswith(rule.path + "/")]
    return max(inside, key=lambda rule: len(rule.path))


def _objection(each: Seen, rule: Rule) -> str | None:
    if each.owner not in rule.owners:
        names = {number: name for name, number in USERS.items()} | {_ROOT: "root"}
        return f"chown {' / '.join(names[owner] for owner in rule.owners)}"
    if stat.S_ISLNK(each.mode):
        return None if rule.path == _MAY_LINK else "symlink"
    if not (stat.S_ISREG(each.mode) or stat.S_ISDIR(each.mode)):
        return "neither file nor directory"
    public = _WRITE if _is_certificate(each) else rule.forbidden
    if each.mode & public:
        return f"chmod {'go-w' if public == _WRITE else 'go='}"
    return None


def _is_certificate(each: Seen) -> bool:
    """Not secret, beside its key in a directory that is."""
    return stat.S_ISREG(each.mode) and each.path.endswith(".pem")
