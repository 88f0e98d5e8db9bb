import pytest

from tests.houses.furniture import furnish


@pytest.fixture
def in_oak(oak, ada):
    """One row of everything in Oak, by model."""
    return furnish(oak, ada)


@pytest.fixture
def in_elm(elm, cy):
    """The same next door."""
    return furnish(elm, cy)
