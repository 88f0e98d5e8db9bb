"""Requests that the schema allows, and some that it does not, against the live server: every answer is documented.

`ARBE_FUZZ_EXAMPLES` makes it longer, `ARBE_FUZZ_SEED` another.
"""

import itertools
import os
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from django.core.asgi import get_asgi_application
from django.db import connections
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from arbe import ports
from arbe.serving import Arbe
from houses.tenancy import inside
from sandboxes.models import Sandbox
from tests.api.conftest import token_of
from tests.services import wait_for

EXAMPLES = int(os.environ.get("ARBE_FUZZ_EXAMPLES", "3"))  # for each operation, of what is allowed and of what is not
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SOON = (datetime.now(UTC) + timedelta(days=30)).isoformat()
NEW = itertools.count(1)
WORD = {"text": lambda there: "date"}
# What makes a POST succeed, by its address: ids that are there, and names that are new.
FITTING = {
    "/artifacts/": {
        "kind": lambda there: "url", "external_id": lambda there: f"https://oak.example/{next(NEW)}",
        **dict.fromkeys(("repository", "path", "commit", "source_thread", "source_run", "resource"), lambda there: ""),
    },
    "/bindings/": {
        "name": lambda there: "Code",
        "secret": lambda there: there["name"], "resources": lambda there: [there["resource"]],
        "agents": lambda there: [there["bot"]],
    },
    "/environments/": {"name": lambda there: f"Kitchen {next(NEW)}", "config": lambda there: {}},
    "/invitations/": {"email": lambda there: f"somebody{next(NEW)}@oak.example"},
    "/members/": {"kind": lambda there: "bot", "name": lambda there: f"Bot {next(NEW)}", "runtime": lambda there: "pi"},
    "/memories/": {"text": lambda there: "Soup is hot."},
    "/policies/": {
        "agent": lambda there: there["bot"], "trigger": lambda there: "interval",
        "config": lambda there: {"ms": 3600000}, "tools": lambda there: [], "resources": lambda there: [],
    },
    "/repositories/": {"name": lambda there: f"notes-{next(NEW)}", "source": lambda there: None},
    "/memories/{memory}/successor/": WORD,
    "/resources/": {
        "name": lambda there: "Code", "kind": lambda there: "github-repo",
        "external_id": lambda there: f"oak/{next(NEW)}",
    },
    "/threads/": {"environment": lambda there: there["environment"], "parent": lambda there: there["thread"]},
    "/threads/{thread}/commands/": WORD | {"environment": lambda there: there["environment"]},
    "/threads/{thread}/messages/": WORD,
    "/tokens/": {"agent": lambda there: there["bot"], "bits": lambda there: "r", "expires_at": lambda there: SOON},
    "/tools/{tool}/checks/": {"arguments": lambda there: {"command": "date"}},
    "/tools/": {
        "name": lambda there: f"peel_{next(NEW)}", "kind": lambda there: "mcp",
        "config": lambda there: {"url": "https://peel.example/"}, "schema": lambda there: {},
    },
}  # fmt: skip
ORDER = ("get", "post", "put", "patch", "delete")  # what takes things away comes last


@pytest.fixture
def live(committed, settings, streams_at) -> Iterator[str]:
    """The address of the application, served as it is served to everybody."""
    port = ports.free_port()
    url = f"http://127.0.0.1:{port}"
    settings.SECRET_KEY, settings.STREAMS_KEY = "x" * 50, "y" * 50
    settings.STREAMS_HERE, settings.ARBE_URL = True, url
    streams_at(url)
    default = connections["default"].settings_dict
    age, default["CONN_MAX_AGE"] = default["CONN_MAX_AGE"], 0
    app = Arbe(get_asgi_application())
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(server, thread)
    yield url
    server.should_exit = True
    thread.join()
    default["CONN_MAX_AGE"] = age


@pytest.fixture
def furnished(live, oak, ada, bo, scribe) -> tuple[httpx.Client, dict[str, str]]:
    """Ada's client, and what there is in Oak that an address can name."""
    http = httpx.Client(base_url=live, headers={"Authorization": f"Bearer {token_of(ada, oak)}"}, timeout=30)

    def made(method, path, body=None):
        said = http.request(method, f"/api/houses/{oak.pk}/{path}", json=body)
        assert said.status_code < 300, said.text
        return said.json()

    environment = made("POST", "environments/", {"name": "Kitchen"})
    repository = environment["config"]["repository"]
    thread = made("POST", "threads/", {"name": "Soup"})["id"]
    command = made("POST", f"threads/{thread}/commands/", {"text": "date"})
    made("POST", f"threads/{thread}/messages/", {"text": "hello"})
    http.put(f"/api/houses/{oak.pk}/repositories/{repository}/files/a/b.txt", content=b"1").raise_for_status()
    made("PUT", "secrets/API_KEY/", {"value": "sesame"})
    token = made("POST", "tokens/", {"agent": str(scribe.pk)})["id"]
    resource = made("POST", "resources/", {"name": "Code", "kind": "github-repo", "external_id": "oak/soup"})["id"]
    binding = {"name": "Code", "secret": "API_KEY", "resources": [resource], "agents": [str(scribe.pk)]}
    policy = {"agent": str(scribe.pk), "trigger": "interval", "config": {"ms": 3600000}}
    with inside(oak, ada):
        sandbox = Sandbox.objects.create(house=oak, environment_id=environment["id"], provider="local")
    return http, {
        "house": oak.pk,
        "agent": str(bo.pk),
        "bot": str(scribe.pk),
        "environment": environment["id"],
        "repository": repository,
        "thread": thread,
        "command": command["id"],
        "path": "a/b.txt",
        "name": "API_KEY",
        "token": token,
        "tool": "run_command",
        "kind": "thread",
        "scope": thread,
        "resource": resource,
        "binding": made("POST", "bindings/", binding)["id"],
        "memory": made("POST", "memories/", {"text": "Ada likes soup."})["id"],
        "invitation": made("POST", "invitations/", {"email": "di@oak.example"})["id"],
        "policy": made("POST", "policies/", policy)["id"],
        "sandbox": sandbox.pk,
    }


@pytest.mark.timeout(3600 if EXAMPLES > 3 else 300)
def test_every_answer_is_one_that_the_schema_knows(furnished, live):
    http, there = furnished
    schema = schemathesis.openapi.from_url(f"{live}/api/schema/?format=json", headers=dict(http.headers))
    found = [result.ok() for result in schema.get_all_operations()]
    found.sort(key=lambda one: (ORDER.index(one.method), one.path))
    said: Counter[int] = Counter()
    wrong: list[str] = []
    session = requests.Session()
    session.headers["Authorization"] = http.headers["Authorization"]
    for operation in found:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _try(operation, mode, there, lambda case: case.call(base_url=live, session=session), said)
            except (FailureGroup, Exception) as error:  # noqa: BLE001 -- every operation gets its turn first
                wrong.append(f"{operation.label} ({mode.value}): {error}")
    http.close()
    session.close()
    print(f"{sum(said.values())} answers of {len(found)} operations: {dict(sorted(said.items()))}")
    assert not wrong, "\n\n".join(wrong)
    assert len(found) > 60 and said[200] > len(found) / 2 and said[201] > 10 and said[400] > 50


def _fitting(label: str, body, there):
    """A body with what is there in the places of ids, which hardly anything that is made up would be."""
    if not isinstance(body, dict):
        return body
    known = FITTING.get(label.partition("{house}")[2], {})
    fitting = body | {name: value(there) for name, value in known.items()}
    return {name: value for name, value in fitting.items() if name not in known or value is not None}


def _try(operation, mode, there, call, said) -> None:
    cases = operation.as_strategy(generation_mode=mode)

    @seed(int(os.environ.get("ARBE_FUZZ_SEED", "2")))
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, known=st.sampled_from([1, 1, 1, 0]))
    def ask(case, known) -> None:
        if known:
            names = {name: there[name] for name in case.path_parameters or {} if name in there}
            case.path_parameters = {**(case.path_parameters or {}), **names}
            if mode is GenerationMode.POSITIVE:
                case.body = _fitting(operation.label, case.body, there)
        response = call(case)
        said[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    try:
        ask()
    except schemathesis.errors.InvalidSchema:
        raise
    except Exception as error:
        if type(error).__name__ in ("Unsatisfiable", "Unsatisfied"):  # nothing can be wrong about it
            return
        raise
