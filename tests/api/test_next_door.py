"""Nobody comes in without saying who they are; what is next door for those who do is asked in `tests/tenancy`."""

import re

from tests.tenancy import places


def test_nobody_is_let_in_without_a_name(elm, client):
    addresses = {operation.path for operation in places.api()}
    assert len(addresses) > 50
    for address in addresses:
        path = re.sub(r"\{\w+\}", "1", address.replace("{house}", elm.pk))
        assert client.get(path).status_code in (401, 404), path
