"""The engines that the store's contract is tested on."""

import pytest

POSTGRESQL = [pytest.param("postgresql", marks=pytest.mark.rig)]
BOTH = ["sqlite", *POSTGRESQL]
