"""A stream server to read logs from, and a thread of Oak to look at."""

import pytest
from django.urls import reverse

from houses.tenancy import inside
from tests.services import hang_up
from tests.streams.conftest import living  # noqa: F401  # a fixture


@pytest.fixture
def log_of(living, settings):  # noqa: F811  # pytest hands the fixture over by its name
    """Writes events into a thread's stream, as arbe does."""
    from streams.client import streams

    settings.STREAMS_URL, settings.STREAMS_KEY = living.url.removesuffix("/v1/stream"), "arbe"

    def write(thread, by, *events):
        streams().create(thread.house_id, thread.stream_id)
        told = [{"type": kind, "payload": payload, "author_agent_id": str(by.pk)} for kind, payload in events]
        streams().append(thread.house_id, thread.stream_id, told)

    yield write
    hang_up()


@pytest.fixture
def thread(oak, ada):
    from threads.models import Thread

    with inside(oak, ada):
        return Thread.objects.open_in(oak, by=ada, name="Weather")


@pytest.fixture
def environment(oak, ada):
    from sandboxes.models import Environment

    with inside(oak, ada):
        return Environment.objects.create_in(oak, "weather", by=ada, config={}, secret_bindings=[])


@pytest.fixture
def repository(oak, ada, environment):
    with inside(oak, ada):
        repository = environment.repository
        repository.write("data/weather.csv", b"day,rain\n1,0.5\n2,3\n", by=ada)
        repository.write("README.md", b"# Weather\n\n<script>alert(1)</script>\n", by=ada)
    return repository


@pytest.fixture
def at(oak):
    """The address of a page of Oak."""
    return lambda name, *args: reverse(name, args=[oak.pk, *args])
