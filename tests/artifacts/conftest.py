import pytest

from houses.tenancy import inside
from tests.artifacts.workbench import Bench


@pytest.fixture
def bench(oak, ada):
    """Oak's repository, with Ada at work inside of the house."""
    with inside(oak, ada):
        yield Bench(oak, ada)
