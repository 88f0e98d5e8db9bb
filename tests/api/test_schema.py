from io import StringIO

import pytest
import yaml
from django.core.management import call_command
from django.urls import reverse
from openapi_spec_validator import validate


@pytest.fixture(scope="module")
def schema() -> dict:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return yaml.safe_load(out.getvalue())


def test_the_schema_is_an_openapi_schema(schema):
    validate(schema)


def test_the_schema_is_complete(schema):
    operations = [op for path in schema["paths"].values() for name, op in path.items() if name != "parameters"]
    assert len(operations) > 50
    for operation in operations:
        assert operation["description"], operation
        assert operation["responses"].keys() - {"default"}, operation
        assert operation["operationId"].count("_") < 4, operation


def test_the_reading_room_opens(client_of, ada):
    page = client_of(ada).get(reverse("api-docs"))
    assert page.status_code == 200 and b"swagger" in page.content
