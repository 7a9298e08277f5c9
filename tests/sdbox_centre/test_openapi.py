"""Requests made by schemathesis of the API's own description, against the real server over mTLS.

No 5xx, and no answer that is not described. Its 2,000 cases find no lone surrogate and no NaN:
what a person thought of stands in test_hostile.py.
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from sdbox_centre import streams
from sdbox_centre.tables import boxes, link_messages, links
from tests.sdbox_centre import tls
from tests.sdbox_centre.test_api import KEPT
from tests.sdbox_centre.world import World
from tests.waiting import PATIENCE_S

TOOL = Path(sys.executable).with_name("schemathesis")
CASES = 2000 if os.environ.get("FULL") else 280
OPERATIONS = 8
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not TOOL.exists() and not os.environ.get("CI"), reason="schemathesis is not installed here"
    ),
]


@contextlib.contextmanager
def forgiven(world: World) -> Iterator[None]:
    """What is made up looks like a copied box: out of service, and cut. Here it never is for long.

    Sooner than the connections of a suspended box are looked for twice (streams.POLL_S).
    """
    over = threading.Event()

    def forgive() -> None:
        while not over.wait(streams.POLL_S / 10):
            with world.store.begin() as tx:
                tx.execute(update(boxes).values(state="active", boot_counter=0, boot_id=None))
                tx.execute(delete(link_messages))
                tx.execute(update(links).values(boot_counter=0, n=0))

    thread = threading.Thread(target=forgive)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_no_request_of_the_description_meets_a_fault(world: World, tmp_path: Path) -> None:
    with tls.served(world) as port, forgiven(world):
        anchors = tls.authority_file(world, "server-authority", world.servers)
        certificate, key = tls.write_identity(
            world.root, "box", world.box.tls_der, world.box.tls_key
        )
        done = subprocess.run(
            [
                *(TOOL, "run", KEPT, "--url", f"https://127.0.0.1:{port}"),
                *("--request-cert", certificate, "--request-cert-key", key),
                *("--tls-verify", anchors, "--phases", "fuzzing", "--checks", ",".join(CHECKS)),
                *("--max-examples", str(-(-CASES // OPERATIONS)), "--seed", "1"),
                *("--generation-database", "none", "--no-color"),
                *("--exclude-path-regex", "^/.well-known/est"),  # it makes no PKCS #10
                *("--exclude-path", "/v1/link"),  # a stream, that ends when the box does
            ],
            cwd=tmp_path,  # it leaves notes where it runs
            capture_output=True,
            text=True,
            timeout=20 * PATIENCE_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    (made,) = re.findall(r"([0-9,]+) generated", done.stdout)
    assert int(made.replace(",", "")) >= CASES * 0.8, "the description has lost something"
