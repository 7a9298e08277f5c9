"""Requests to the kernel: what it refuses is an error with its number."""

from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.tunnel import rtnetlink
from sdbox_agent.tunnel.kernel import Links


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    claim = Claim()
    yield claim.namespace("here")
    claim.release()


@pytest.mark.rig
def test_a_kernels_refusal_has_its_errno(namespace: Namespace) -> None:
    links = namespace.run(Links.here)
    with pytest.raises(OSError, match="No such device"):
        links.run([rtnetlink.raise_up(4242)])
    assert [link.name for link in links.all()] == ["lo"]  # and the socket is still in step
    links.close()
