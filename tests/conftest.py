"""The cast, and the ground they stand on: real Postgres and Redis, started once, connected as the app role.

Oak and Elm are next door to each other; Ada founded Oak, Bo is in it, Cy lives in Elm; Scribe is Oak's bot.
"""

import base64
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connections
from servestatic.middleware import ServeStaticMiddleware

from tests import services
from tests.side_by_side import pytest_collection_modifyitems as pytest_collection_modifyitems  # noqa: PLC0414  # a hook
from tests.side_by_side import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler  # noqa: PLC0414  # a hook


@pytest.fixture(scope="session")
def running() -> Iterator[services.Services]:
    """Embedded Postgres and Redis for this session."""
    ground = services.start()
    yield ground
    ground.stop()


@pytest.fixture(scope="session")
def django_db_setup(running: services.Services, django_db_blocker) -> Iterator[None]:
    """Point Django at the embedded database, as each role, and migrate as the owner."""
    from django.conf import UserSettingsHolder, settings

    from arbe.environment import database

    for alias, url in {
        "default": running.urls.app,
        "owner": running.urls.owner,
        "operator": running.urls.operator,
    }.items():
        connections[alias].settings_dict.update(database(url))
        connections[alias].close()
    ground = settings._wrapped
    while isinstance(ground, UserSettingsHolder):  # a test's own settings go with it; these are for all of them
        ground = ground.default_settings
    ground.REDIS_URL = running.redis.url
    for queue in settings.RQ_QUEUES.values():
        queue["URL"] = running.redis.url
    settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"] = [running.redis.url]
    ground.VAULT_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    with django_db_blocker.unblock():
        call_command("migrate", database="owner", verbosity=0)
    yield
    with django_db_blocker.unblock():
        connections.close_all()


@pytest.fixture(scope="session", autouse=True)
def static_files() -> Iterator[None]:
    """Every test client makes the middleware again, which looks for all static files again; here it looks once."""
    look, found = ServeStaticMiddleware.add_files_from_finders, {}

    def look_once(self) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ServeStaticMiddleware, "add_files_from_finders", look_once)
        yield


@pytest.fixture(autouse=True)
def var(settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for what lasts, for this test alone."""
    folder = Path(tempfile.mkdtemp(prefix="arbe-var-"))
    settings.ARBE_VAR = folder
    settings.LOCAL_MODELS = True  # where the models of tests are
    settings.RATE_LIMIT = 0  # tests ask more often than anybody does; those of the limits set their own
    caches["default"].key_prefix = folder.name  # what was tried too often in one test is nothing to the next
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def committed(running: services.Services, django_db_setup, django_db_blocker) -> Iterator[None]:
    """Transactions that really commit, as everywhere but in tests; afterwards every table is emptied by its owner."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
    running.empty()


@pytest.fixture(scope="session")
def stream_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.StreamServer]:
    """Where events go, for tests that want to know."""
    server = services.StreamServer(tmp_path_factory.mktemp("streams"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def streams_at(settings) -> Iterator[Callable]:
    """Say where the streams are; afterwards nobody knows."""

    def at(url: str) -> None:
        settings.STREAMS_URL = url
        services.hang_up()

    yield at
    at("http://127.0.0.1:1")


@pytest.fixture
def told(committed, stream_server, streams_at) -> Callable:
    """`told(thread)`: the events that its stream tells, all of them. Commits are real."""
    from streams.client import streams

    streams_at(stream_server.url)

    def everything(subject) -> list:
        events, page = [], None
        while page is None or not page.up_to_date:
            page = streams().read(subject.house_id, subject.stream_id, page.next if page else "-1")
            events += page.events
        return events

    return everything


@pytest.fixture
def ground(request: pytest.FixtureRequest) -> None:
    """What the cast stands on: a transaction that is rolled back; beside `committed`, the database for real."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")


@pytest.fixture
def ada(ground):
    return _person("Ada", "ada@oak.example")


@pytest.fixture
def bo(oak):
    return _member(_person("Bo", "bo@oak.example"), oak)


@pytest.fixture
def cy(ground):
    return _person("Cy", "cy@elm.example")


@pytest.fixture
def oak(ada):
    from houses.models import House

    return House.objects.found("Oak", by=ada)


@pytest.fixture
def elm(cy):
    from houses.models import House

    return House.objects.found("Elm", by=cy)


@pytest.fixture
def scribe(oak):
    from houses.models import Agent

    return _member(Agent.objects.create_bot("Scribe", "pi"), oak)


@pytest.fixture
def client_of() -> Callable:
    """A signed-in browser of an agent, without the browser; with `factor=True` one that passed a second factor."""
    from allauth.mfa.models import Authenticator
    from django.test import Client

    def signed_in(agent, factor=False, **options):
        client = Client(**options)
        client.force_login(agent)
        if factor:
            session = client.session
            shown, _ = Authenticator.objects.get_or_create(user=agent, type="totp", defaults={"data": {}})
            session["account_authentication_methods"] = [{"method": "mfa", "at": time.time(), "id": shown.pk}]
            session["account_authentication_methods_user"] = str(agent.pk)
            session.save()
        return client

    return signed_in


@cache
def _hashed() -> str:
    """Hashing is slow on purpose; once is enough for everybody."""
    from django.contrib.auth.hashers import make_password

    return make_password("correct horse battery staple")


def _person(name: str, email: str):
    from houses.models import Agent

    person = Agent.objects.create_human(name, email)
    Agent.objects.filter(pk=person.pk).update(password=_hashed())
    person.refresh_from_db()
    return person


def _member(agent, house):
    from houses.models import Member
    from houses.tenancy import inside

    with inside(house, agent):
        Member.objects.create(house=house, agent=agent, role="member")
    return agent


os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright keeps an event loop in the tests' own thread
