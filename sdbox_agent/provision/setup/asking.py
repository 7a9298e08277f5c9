"""The centre, as a machine asks it that is about to be a box, and as the box it then is [door]."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.centre import wire
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.identity import est, keys, request
from sdbox_agent.identity.vouching import Vouching
from sdbox_agent.pki import chain
from sdbox_agent.provision.setup import answers as answering

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from sdbox_agent.identity.request import Signer
    from sdbox_agent.identity.tpm import Tpm
    from sdbox_agent.paths import Paths
    from sdbox_agent.pki.boxcertificate import Purpose
    from sdbox_agent.profile import schema
    from sdbox_agent.provision.setup.answers import Answers


@dataclass(frozen=True, slots=True)
class Asking:
    """See ports.Centre. `core`: whose the identity's files are, which root becomes to read them.

    `chip`: which has the statement key, if one has.
    """

    paths: Paths
    centre: schema.Centre
    now: dt.datetime
    core: int
    chip: Tpm | None = None

    def enrol(self, purpose: Purpose, key: Signer, answers: Answers) -> bytes:
        """See `Centre`."""
        given = chain.authorities(answers.anchors.boxes)
        context = est.anonymous(answering.pem(answers.anchors.centre).decode())
        with contextlib.closing(est.Est(self._where(), context)) as client:
            asked = request.ask(answers.box, purpose, key)
            found = client.simpleenroll(asked, answers.token, given, self.now)
        return found.public_bytes(Encoding.PEM)

    def report(self, report: wire.ReportRequest) -> wire.ReportAnswer:
        """See `Centre`."""
        with self._client(report.box) as client:
            return client.report(report)

    def retire(self, box: str) -> None:
        """See `Centre`."""
        with self._client(box) as client:
            client.retire(wire.RetireRequest(box=box))

    @contextlib.contextmanager
    def _client(self, box: str) -> Iterator[CentreClient]:
        chip = self.chip
        with contextlib.ExitStack() as stack:
            if chip is not None:
                stack.callback(chip.close)  # it has few places, and the core is to have some
                chip.name()  # opened by root: the core's user may by its unit's group alone
            with _as(self.core):
                identity = keys.load(self.paths.config, self.paths.tpm, chip)
            own = None if identity.tls else Vouching(identity, self._where(), box)
            context = identity.client_context() if own is None else own.context
            yield stack.enter_context(contextlib.closing(CentreClient(self._where(), context)))

    def _where(self) -> Where:
        at = self.centre
        return Where(tuple((each, at.port) for each in at.addresses or (at.host,)), at.host)


@contextlib.contextmanager
def _as(uid: int) -> Iterator[None]:
    """The core's files are the core's alone: nobody else's are read as an identity."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)
