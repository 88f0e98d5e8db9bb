"""Files of a house are text: neither a page nor a part of one."""

import pytest

from artifacts.models import Repository
from houses.tenancy import inside

MARKUP = b'<div hx-post="/you/" hx-vals=\'{"password": "stolen-password-1"}\' hx-trigger="load"></div>'


@pytest.fixture
def address(oak, ada):
    with inside(oak, ada):
        repository = Repository.objects.create_in(oak, "work", by=ada)
        repository.write("a.html", MARKUP, by=ada)
    return f"/houses/{oak.pk}/files/{repository.pk}/raw/a.html"


def test_the_bytes_of_a_file_are_never_markup(client_of, ada, address):
    answer = client_of(ada).get(address)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_the_bytes_of_a_file_are_no_part_of_a_page(client_of, ada, address):
    assert client_of(ada).get(address, headers={"HX-Request": "true"}).status_code == 403
