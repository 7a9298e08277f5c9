"""[door] A PostgreSQL of the rig's own: made, started and gone with the process that asked for it.

    with Cluster() as cluster:
        store = Store(cluster.database())

A Unix socket and no port; who connects is who the kernel says (peer), through a map of names, and
as `centre`, who may make databases and nothing else. Debian's own cluster is neither used nor
needed. Killed with SIGKILL, its owner leaves a directory that the next one sweeps (hil.scratch),
and no process: the server gets SIGQUIT then, which ends it at once and cleans up behind it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from hil import scratch
from hil.net.process import Process, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

BIN: Final = Path("/usr/lib/postgresql/15/bin")
ROLE: Final = "centre"
USERS: Final = {61011: "sdbox-centre"}  # whom the rig's API runs as: no passwd has that number
START_S: Final = 30.0
_CONF: Final = """
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 40
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
logging_collector = off
"""


class Cluster:
    """One server with its data; `with` starts and ends it."""

    def __init__(self, *, durable: bool = True) -> None:
        """Make it. Needs root, and Debian's postgresql-15.

        What a power cut would take, only a `durable` one keeps; nothing else differs.
        """
        self.root = scratch.made("test")
        self.sockets, self._data = self.root / "s", self.root / "data"
        owner = pwd.getpwnam("postgres")
        self._uid, self._gid = owner.pw_uid, owner.pw_gid
        self._data.mkdir(mode=0o700)
        self.sockets.mkdir()
        for directory in (self._data, self.sockets):
            os.chown(directory, self._uid, self._gid)
        self._passwd = self.root / "passwd"
        self._passwd.write_text(
            f"root:x:0:0::/:/bin/sh\npostgres:x:{self._uid}:{self._gid}::/:/bin/sh\n"
            + "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for uid, name in USERS.items())
        )
        self._numbers = itertools.count(1)
        self._server: Process | None = None
        made = self._run(
            "initdb", "-D", self._data, "-U", "postgres", "-A", "peer", "--no-sync",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        if not made.wait(START_S) or made.status:
            raise RuntimeError(self._log())
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(_CONF if durable else _CONF + "fsync = off\n")
        (self._data / "pg_hba.conf").write_text("local all all peer map=rig\n")
        known = ["rig root postgres", *(f"rig {who} {ROLE}" for who in ("root", *USERS.values()))]
        (self._data / "pg_ident.conf").write_text("\n".join(known) + "\n")

    def __enter__(self) -> Self:
        self.start()
        with self._connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN CREATEDB")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        scratch.removed(self.root)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._server = self._run("postgres", "-D", self._data, "-k", self.sockets)
        deadline = time.monotonic() + START_S
        while not self._server.wait(0) and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), self._connect("postgres"):
                return
            time.sleep(0.02)
        raise RuntimeError(self._log())

    @property
    def pid(self) -> int:
        """The server's first process. Raises RuntimeError if it does not run."""
        if self._server is None:
            raise RuntimeError("not started")
        return self._server.pid

    def stop(self) -> None:
        """End it as a service manager would: whoever is connected is cut off."""
        if self._server is not None:
            self._server.kill(signal.SIGINT)
            self._server.wait(START_S)
            self._server.end()
            self._server = None

    def freeze(self) -> None:
        """It is there and says nothing more, to old connections and to new ones."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def database(self, like: str | None = None) -> str:
        """A new database's URL; empty, or as that one is, to which nobody may be connected."""
        names = (f"test_{next(self._numbers)}", "template0" if like is None else _name(like))
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with self._connect(ROLE) as connection:
            connection.execute(words.format(*map(sql.Identifier, names)))
        return f"postgresql+psycopg://{ROLE}@/{names[0]}?host={self.sockets}"

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        words = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(_name(url)))
        with self._connect("postgres") as connection:
            connection.execute(words)

    def rename(self, url: str, new: str) -> None:
        """A database takes another one's name, which is gone."""
        names = [sql.Identifier(_name(each)) for each in (url, new)]
        with self._connect(ROLE) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))

    def _connect(self, role: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.sockets), user=role, dbname="postgres", autocommit=True
        )

    def _run(self, program: str, *arguments: object) -> Process:
        return Process(
            Unit(
                argv=[str(BIN / program), *map(str, arguments)],
                uid=self._uid,
                gid=self._gid,
                environment={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
                output=self.root / "log",
                directory=self.root,
                binds={Path("/etc/passwd"): self._passwd},
                last_signal=signal.SIGQUIT,
            )
        )

    def _signal(self, number: int) -> None:
        for pid in (self.pid, *_children(self.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _log(self) -> str:
        return (self.root / "log").read_text()[-2000:]


def _name(url: str) -> str:
    return str(make_url(url).database)


def _children(pid: int) -> Iterable[int]:
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
