"""The token of a run: by it what runs in a sandbox speaks to arbe, for whoever asked for the run, as long as it runs.

A command finds it as ARBE_TOKEN, beside ARBE_URL, ARBE_HOUSE and ARBE_THREAD. It may read and write, in that thread
and those below it, but run, manage and grant nothing, and make no other token; that of a bot's run calls the tools that
the bot has x on. Output never shows it. A command reaches arbe only where its environment opens the network and this
installation allows that; no other is given one. A bot's run always has one, on the other side of a door. Its row goes
in the transaction that finishes the run, however that ends, and with its agent's membership.
"""

import secrets
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from houses.agents import Agent
from houses.credentials import Token, digest, text_of
from houses.scopes import R, W
from houses.tenancy import current_house, inside

NAME = "ARBE_TOKEN"
BITS = R + W
SLACK = timedelta(minutes=10)  # for what comes before and after the run itself


def new_text() -> str:
    """A token that nobody knows yet."""
    return text_of(secrets.token_urlsafe(32))


def mint(agent: Agent, run: str, text: str, *, thread_id: str, seconds: float, calls: bool = False) -> None:
    """Let the text speak for the agent while the run goes on; in the transaction that writes down its start.

    With `calls`, it may call the tools that the agent has x on: the run of a bot delegates and makes.
    """
    Token.objects.create(
        house_id=current_house(),
        agent=agent,
        name=f"run {run}",
        digest=digest(text.rpartition(f"{current_house()}_")[2]),
        bits=BITS,
        run=run,
        run_thread=thread_id,
        calls=calls,
        created_by=agent,
        expires_at=timezone.now() + timedelta(seconds=seconds) + SLACK,
    )


def end(run: str) -> None:
    """Whoever still holds the token of that run is out."""
    Token.objects.filter(run=run).delete()


def going() -> list[tuple[str, str]]:
    """House and run of every token of a run that has not ended, of every house."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT house_id, run FROM run_tokens_going()")
        return list(cursor.fetchall())


def end_in(house_id: str, runs: list[str]) -> int:
    """End the tokens of runs that rest and left theirs behind."""
    with inside(house_id):
        return Token.objects.filter(run__in=runs).delete()[0]
