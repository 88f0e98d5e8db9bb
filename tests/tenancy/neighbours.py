"""Two furnished houses next door to each other, and whoever in Oak tries the ids of Elm."""

import re
import string
from dataclasses import dataclass, field

from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from artifacts.bare import Bare
from artifacts.models import Repository
from artifacts.repositories import author
from houses.models import Agent, House, Member, Secret, Token
from houses.tenancy import inside
from tests.houses.furniture import furnish, owned, sql
from tests.tenancy.words import models_by_word

SHORT = "[23456789abcdefghijkmnpqrstuvwxyz]{12}"
NOWHERE_AGENT, NOWHERE_ROW = "00000000-0000-4000-8000-000000000000", str(10**12)
# Digits stay digits, small letters small and capitals capital: what an id looks like is no news.
ELSEWHERE = str.maketrans(
    string.digits + string.ascii_lowercase + string.ascii_uppercase, "7" * 10 + "n" * 26 + "Q" * 26
)


@dataclass
class Answer:
    """What came back, and what it did."""

    status: int
    said: str
    queries: list[str]
    left: list[str] = field(default_factory=list)

    def like(self, other: "Answer") -> bool:
        return (self.status, self.said, self.queries) == (other.status, other.said, other.queries)


@dataclass
class World:
    """Who and what is where. `here` and `there` say for each word of a row what stands for it in Oak and in Elm."""

    oak: House
    elm: House
    cy: Agent
    here: dict[str, list[str]]
    there: dict[str, list[str]]
    clients: dict[str, tuple[Client, dict[str, str]]]
    before: dict[tuple[str, str], str] = field(default_factory=dict)

    def nowhere(self, value: str) -> str:
        """An id of the same shape that is nowhere."""
        if re.fullmatch("[0-9a-f-]{36}", value):
            return NOWHERE_AGENT
        if value.isdigit():
            return NOWHERE_ROW
        return value.translate(ELSEWHERE)

    def ask(self, who: str, method: str, path: str, body: bytes, kind: str, *, look: bool) -> Answer:
        """Ask, look what it did, and undo it."""
        client, headers = self.clients[who]
        cache.clear()  # how often somebody may ask is another matter
        connection.queries_log.clear()
        if not self.before:
            self.before = self._digests()
        with transaction.atomic():
            before, waiting = self.before, len(connection.run_on_commit)
            with CaptureQueriesContext(connection) as captured:
                response = client.generic(method, path, body, kind, headers=headers)
            said = b"".join(response.streaming_content) if response.streaming else response.content
            after = self._digests() if look else before
            left = [f"{house}'s {table}" for house, table in before if before[house, table] != after[house, table]]
            left += ["a call after commit"] * (len(connection.run_on_commit) - waiting)
            transaction.set_rollback(True)
        place = response.headers.get("Location", "")
        return Answer(response.status_code, said.decode(errors="replace") + place, _shapes(captured), left)

    def fresh(self, said: str) -> str:
        """Without ids and times of what was just made, which differ from one time to the next."""
        known = {value for words in (self.here, self.there) for values in words.values() for value in values}
        hide = lambda found: found[0] if found[0] in known else "⟨id⟩"  # noqa: E731
        said = re.sub(rf"\b{SHORT}\b|\b[0-9a-f]{{8}}-[0-9a-f-]{{27}}\b|\b[0-9a-f]{{40}}\b", hide, said)
        said = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|"X-CSRFToken": "\w+"', "⟨csrf⟩", said)
        return re.sub(
            r"\d{4}-\d\d-\d\dT[\d:.]+|\b\d+ (?:seconds|ms)\b|nonce[-=][\w\"+/=-]+|arbe_[\w-]+", "⟨then⟩", said
        )

    def _digests(self) -> dict[tuple[str, str], str]:
        found = {}
        for house, by in ((self.oak, None), (self.elm, self.cy)):
            with inside(house, by):
                found |= {(house.name, table): digest for table, digest in sql(digests())}
        return found


def digests() -> str:
    """A question that tells every table of a house apart from what it was, but for when a token was last used."""
    parts = [
        f"SELECT '{model._meta.db_table}', md5(string_agg((to_jsonb(t) - 'last_used_at')::text, '|' "
        f"ORDER BY to_jsonb(t)::text)) FROM {model._meta.db_table} t"
        for model in owned()
    ]
    return " UNION ALL ".join(parts)


def _shapes(captured: CaptureQueriesContext) -> list[str]:
    """The statements without their values."""
    return [re.sub(r"'(?:[^']|'')*'|\b\d+\b|\bs\d+_x\d+\b", "?", query["sql"]) for query in captured.captured_queries]


def settled(oak: House, elm: House, ada: Agent, bo: Agent, cy: Agent) -> World:
    """Both houses furnished, and the ids of everything in them."""
    here, there = _words_of(oak, ada), _words_of(elm, cy)
    with inside(elm, cy):
        Secret.objects.put("ELM_ALONE", "what Elm alone knows", by=cy)
    here["secret"].append("API_KEY")
    there["secret"].append("ELM_ALONE")
    with inside(oak, ada):
        scribe = Member.objects.select_related("agent").exclude(agent__kind="human").first().agent
        tokens = {"a bot": Token.objects.mint(scribe, "x", by=ada), "a program": Token.objects.mint(ada, "x", by=ada)}
    clients = {name: (_signed_in(agent), {}) for name, agent in {"an owner": ada, "a member": bo}.items()}
    for name, (_, text) in tokens.items():
        clients[name] = Client(raise_request_exception=False), {"Authorization": f"Bearer {text}"}
    return World(oak, elm, cy, here, there, clients)


def _signed_in(agent: Agent) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(agent)
    return client


def _words_of(house: House, by: Agent) -> dict[str, list[str]]:
    rows = furnish(house, by)
    with inside(house, by):
        repository = rows[Repository]
        repository.folder.parent.mkdir(parents=True, exist_ok=True)
        Bare.create(repository.folder, author(by))
    words = {
        word: [str(rows[model].pk)] for word, model in models_by_word().items() if model in rows and model is not Member
    }
    bot = rows[Member].agent_id
    words["agent"] = [str(bot)]
    words["row"] = words["scope"] = words["thread"]
    words["stream"] = [next(row for row in rows.values() if row._meta.model_name == "thread").stream_id]
    return words
