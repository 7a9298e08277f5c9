"""A box whose statement key and counter are in a security chip: sessions, and every copy of it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.box import CORE_UID
from hil.operator import Watch
from hil.rig import Rig
from hil.scenarios import session
from hil.tpm import SoftTpm
from sdbox_agent.audit import outbox, record
from sdbox_agent.state import store
from tests.daemon.ending import refusal

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(chip=True) as one:
        one.holder = one.enrol("test-holder-01", seed=1)  # type: ignore[attr-defined]
        one.start()
        yield one


def copied(rig: Rig, name: str) -> Path:
    """Settings and state, as whoever has the disk has them."""
    root = rig.root / name
    for part in ("etc/sdbox", "var/lib/sdbox"):
        shutil.copytree(rig.box.paths.root / part, root / part)
    for directory in ("dev", "run/sdbox"):
        (root / directory).mkdir(parents=True)
    for path in root.rglob("*"):
        if not path.is_relative_to(root / "etc/sdbox") or "identity" in path.parts:
            os.chown(path, CORE_UID, CORE_UID)
    return root


def test_a_session_opens_by_the_chips_signature(rig: Rig) -> None:
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.until(session.ready, "readiness")
        seen = session.enter(rig, watch, rig.holder)  # type: ignore[attr-defined]
        assert (seen.state, seen.code) == ("open", None)
        session.leave(rig, watch)
    codes = [
        record.decode(line).code
        for line in (rig.box.paths.state / outbox.NAME).read_bytes().splitlines()
    ]
    assert "tunnel-up" in codes
    assert "identity-copyable" not in codes


def test_the_files_on_another_machine_are_refused_with_a_code(rig: Rig) -> None:
    """With no chip there, with another, with none but a copied directory and a key of one's own."""
    root = copied(rig, "copy")
    assert "(tpm-away)" in refusal(root, root / "core.log")
    with SoftTpm(rig.root / "other-chip", root / "dev/tpmrm0", CORE_UID):
        assert "(tpm-foreign)" in refusal(root, root / "core.log")
    identity = root / "etc/sdbox/identity"
    (identity / "statement.tpm").unlink()
    pair = rig.issuing.box_statement("box-01")
    for name, one in (("statement", pair), ("tls", rig.issuing.box_tls("box-01"))):
        (identity / f"{name}.pem").write_bytes(one.pem)
        (identity / f"{name}.key").write_bytes(one.key_pem)
        (identity / f"{name}.key").chmod(0o600)
        os.chown(identity / f"{name}.key", CORE_UID, CORE_UID)
    assert "(counter-lost)" in refusal(root, root / "core.log")


def test_an_older_copy_put_back_and_a_cleared_chip_keep_the_box_closed(rig: Rig) -> None:
    state, chip = rig.box.paths.state / store.NAME, rig.box.chip
    assert chip is not None
    rig.box.stop()
    older = state.read_bytes()
    rig.box.start()
    rig.box.stop()
    newest = state.read_bytes()
    state.write_bytes(older)
    assert "(state-rolled-back)" in refusal(rig.box.paths.root, rig.box.paths.root / "core.log")
    state.write_bytes(newest)
    rig.box.start()  # nothing was lost
    rig.box.stop()
    chip.tool("tpm2_clear")
    assert "(tpm-cleared)" in refusal(rig.box.paths.root, rig.box.paths.root / "core.log")
