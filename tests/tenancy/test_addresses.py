"""Every address of the API and every page: what is next door is answered like what is nowhere, and nothing happens."""

import pytest

from tests.tenancy import places
from tests.tenancy.attack import attack

API, PAGES = places.api(), places.pages()


def tight(world, operations, whos) -> None:
    holes = [hole for operation in operations for hole in attack(world, operation, *whos)]
    assert not holes, f"{len(holes)} holes\n" + "\n".join(holes)


def test_the_maps_were_read():
    assert len(API) > 50 and len(PAGES) > 50
    described = {operation.path for operation in API}
    mapped = {path for path, view in places.addresses(places.get_resolver("arbe.urls").url_patterns)}
    inside = {path for path in mapped if path.startswith("/api/houses/")}
    assert inside <= described | {"/api/houses/"}


@pytest.mark.timeout(300)
def test_the_api_tells_nobody_what_is_next_door(world):
    tight(world, API, ("a program", "a bot"))


@pytest.mark.timeout(300)
def test_no_page_tells_what_is_next_door(world):
    tight(world, PAGES, ("an owner", "a member"))
