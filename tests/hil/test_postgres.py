"""The rig's PostgreSQL: who may connect, and that nothing of it outlives its owner."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from hil.net.process import Process, Unit
from hil.postgres import ROLE, USERS, Cluster
from hil.rig import Rig
from hil.scenarios import session
from tests.waiting import until

pytestmark = pytest.mark.rig

SESSION = """
import sys, psycopg
with psycopg.connect(host=sys.argv[1], user=sys.argv[2], dbname="postgres") as connection:
    connection.execute("SELECT 1")
"""
OWNER = """
import sys
from hil.postgres import Cluster
cluster = Cluster(durable=False)
cluster.start()
print(cluster.root, cluster.pid, flush=True)
sys.stdin.read()
"""
NOBODY = 65534


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(durable=False) as running:
        yield running


def connects(cluster: Cluster, uid: int, role: str) -> bool:
    argv = [sys.executable, "-I", "-c", SESSION, str(cluster.sockets), role]
    process = Process(Unit(argv=argv, uid=uid, output=cluster.root / "session.log"))
    until(lambda: process.wait(0))
    return process.status == 0


def test_who_may_connect_and_as_whom(cluster: Cluster) -> None:
    (api,) = USERS
    assert connects(cluster, api, ROLE)
    assert not connects(cluster, api, "postgres")
    assert not connects(cluster, NOBODY, ROLE)


def test_there_is_no_port(cluster: Cluster) -> None:
    with psycopg.connect(host=str(cluster.sockets), user=ROLE, dbname="postgres") as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_a_database_is_made_as_another_one_is(cluster: Cluster) -> None:
    def connected(url: str) -> psycopg.Connection:
        parts = make_url(url)
        return psycopg.connect(host=parts.query["host"], user=ROLE, dbname=parts.database)

    first = cluster.database()
    with connected(first) as connection:
        connection.execute("CREATE TABLE kept (a int)")
    second = cluster.database(like=first)
    with connected(second) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    cluster.drop(second)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        connected(second)


def test_a_session_is_opened_by_a_centre_that_stands_on_it(cluster: Cluster) -> None:
    with Rig(cluster=cluster) as rig:
        holder = rig.enrol("test-holder-01", seed=1)
        rig.start()
        watch = rig.watch()
        watch.state("idle")
        assert session.enter(rig, watch, holder).state == "open"
        rig.centre.revoke_card(holder)  # by staff's command, as another process
        session.leave(rig, watch)
        assert session.enter(rig, watch, holder).code == "card-revoked"


def test_it_ends_with_an_owner_who_is_killed() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    root, pid = owner.stdout.readline().split()
    assert running(int(pid))
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    until(lambda: not running(int(pid)))
    with Cluster(durable=False):
        assert not Path(root).exists(), "the next one sweeps"


def running(pid: int) -> bool:
    """A zombie that nobody waits for is not."""
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_it_can_fall_silent_and_go_on(cluster: Cluster) -> None:
    with psycopg.connect(host=str(cluster.sockets), user=ROLE, dbname="postgres") as connection:
        cluster.freeze()
        until(lambda: "State:\tT" in Path(f"/proc/{cluster.pid}/status").read_text())
        cluster.thaw()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    os.kill(cluster.pid, 0)
