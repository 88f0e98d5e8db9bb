"""Whom credentials speak for, many of them at once: a question for each kind of credential, however many there are."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from houses.agents import Agent
from houses.credentials import Token
from houses.tenancy import inside


def bearers(house: str, credentials: Iterable[str]) -> dict[str, Agent]:
    """Whom each of these `token ID`, `session KEY` or `agent ID` speaks for; those that hold no more are left out."""
    keys: dict[str, set[str]] = defaultdict(set)
    for credential in credentials:
        kind, _, key = credential.partition(" ")
        keys[kind].add(key)
    found = {f"token {key}": agent for key, agent in _of_tokens(house, keys["token"]).items()}
    found |= {f"session {key}": agent for key, agent in _of_sessions(keys["session"]).items()}
    return found | {f"agent {key}": agent for key, agent in _active(keys["agent"]).items()}


def _of_tokens(house: str, keys: set[str]) -> dict[str, Agent]:
    if not keys:
        return {}
    with inside(house):
        tokens = Token.objects.live().select_related("agent").only("bits", "run_thread", "calls", "agent__id")
        return {token.pk: token.bearer() for token in tokens.filter(pk__in=keys)}


def _of_sessions(keys: set[str]) -> dict[str, Agent]:
    """As `django.contrib.auth.get_user` does it for one of them, and without changing any."""
    if not keys:
        return {}
    rows = _sessions().get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    whose = {key: _whose(data) for key, data in rows.values_list("session_key", "session_data")}
    agents = _active({agent_id for agent_id, _ in whose.values()})
    return {
        key: agents[agent_id]
        for key, (agent_id, proof) in whose.items()
        if agent_id in agents and _is_proof(proof, agents[agent_id])
    }


def _active(ids: Iterable[str]) -> dict[str, Agent]:
    known = {_id for _id in ids if _id}
    if not known:
        return {}
    return {str(agent.pk): agent for agent in Agent.objects.filter(pk__in=known, is_active=True).only("id", "password")}


def _is_proof(proof: str, agent: Agent) -> bool:
    """Whether a session was begun with the password that the agent has now."""
    hashes = (agent.get_session_auth_hash(), *agent.get_session_auth_fallback_hash())
    return any(constant_time_compare(proof, one) for one in hashes)


@lru_cache(maxsize=4096)  # what is in the row of a session says it all, and nearly always it is the same again
def _whose(data: str) -> tuple[str, str]:
    """The agent that a session says it is of, and its proof of that; empty where it says neither."""
    told: dict[str, Any] = _sessions()().decode(data)
    if told.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return "", ""
    try:
        return str(UUID(told[SESSION_KEY])), told.get(HASH_SESSION_KEY) or ""
    except (KeyError, ValueError):
        return "", ""


def _sessions() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore
