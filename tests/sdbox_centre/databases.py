"""The engines that the store's contract is tested on."""

import pytest

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.rig)]
