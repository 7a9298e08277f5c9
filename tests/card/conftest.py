"""What the tests of cards behind a library share; the rig's parts are imported when used."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.card.pkcs11_bench import Desk


@pytest.fixture
def desk() -> "Iterator[Desk]":
    """A virtual reader, emptied afterwards."""
    from tests.card.pkcs11_bench import at_desk  # noqa: PLC0415

    with at_desk() as made:
        yield made
