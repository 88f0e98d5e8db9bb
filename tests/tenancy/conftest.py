import pytest

from tests.tenancy import neighbours


@pytest.fixture
def world(oak, elm, ada, bo, cy):
    """Oak and Elm, furnished, and whoever in Oak would like to know what is in Elm."""
    return neighbours.settled(oak, elm, ada, bo, cy)
