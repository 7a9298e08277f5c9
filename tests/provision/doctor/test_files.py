"""Who may own, write, read what; tested against the files that make it so."""

import stat

import pytest

from sdbox_agent.provision.doctor import files
from sdbox_agent.provision.doctor.files import Seen

FILE, DIRECTORY, LINK, FIFO = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO
SDBOX = 61001
FINE = [
    Seen("etc/sdbox", DIRECTORY | 0o755, 0),
    Seen("etc/sdbox/box.toml", FILE | 0o644, 0),
    Seen("etc/sdbox/identity", DIRECTORY | 0o700, SDBOX),
    Seen("etc/sdbox/identity/tls.key", FILE | 0o400, SDBOX),
    Seen("etc/sdbox/identity/tls.pem", FILE | 0o644, 0),
    Seen("var/lib/sdbox", DIRECTORY | 0o700, SDBOX),
    Seen("var/lib/sdbox/audit.jsonl", FILE | 0o600, SDBOX),
    Seen("var/lib/sdbox/lost+found", DIRECTORY | 0o700, 0),
    Seen("usr/lib/sdbox-agent/bin/python", LINK | 0o777, 0),
    Seen("usr/lib/sdbox-agent/x.py", FILE | 0o644, 0),
]


def test_a_box_as_it_is_set_up_is_fine() -> None:
    assert list(files.exposed(FINE)) == []


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Seen("etc/sdbox/box.toml", FILE | 0o644, SDBOX), "chown root"),
        (Seen("etc/sdbox/box.toml", FILE | 0o664, 0), "chmod go-w"),
        (Seen("etc/sdbox/box.toml", LINK | 0o777, 0), "symlink"),
        (Seen("etc/sdbox", DIRECTORY | 0o777, 0), "chmod go-w"),
        (Seen("etc/sdbox/anchors/desk.pem", FILE | 0o646, 0), "chmod go-w"),
        (Seen("etc/sdbox/identity/tls.key", FILE | 0o440, SDBOX), "chmod go="),
        (Seen("etc/sdbox/identity/tls.key", FILE | 0o400, 1000), "chown sdbox / root"),
        (Seen("etc/sdbox/identity/tls.pem", FILE | 0o666, SDBOX), "chmod go-w"),
        (Seen("etc/sdbox/identity", DIRECTORY | 0o750, SDBOX), "chmod go="),
        (Seen("var/lib/sdbox/state.json", FILE | 0o644, SDBOX), "chmod go="),
        (Seen("var/lib/sdbox/state.json", FILE | 0o600, 0), "chown sdbox"),
        (Seen("var/lib/sdbox/state.json", FIFO | 0o600, SDBOX), "neither file nor directory"),
        (Seen("var/lib/sdbox/lost+found", DIRECTORY | 0o755, 0), "chmod go="),
        (Seen("usr/lib/sdbox-agent/bin/python", LINK | 0o777, SDBOX), "chown root"),
        (Seen("usr/lib/sdbox-agent/x.py", FILE | 0o666, 0), "chmod go-w"),
    ],
)
def test_each_way_to_be_exposed_is_told_with_its_cure(seen: Seen, reason: str) -> None:
    (found,) = files.exposed([*FINE, seen])
    assert (found.code, found.detail) == ("file-exposed", f"/{seen.path}: {reason}")


def test_no_more_are_told_than_anybody_reads() -> None:
    many = [Seen(f"usr/lib/sdbox-agent/{n}", FILE | 0o666, 0) for n in range(100)]
    assert len(list(files.exposed(many))) == files.MOST_TOLD
