"""What policies point at by id: who may say so, and how much of it somebody else is told."""

from collections.abc import Iterable
from typing import Any

from django.apps import apps

from houses.agents import Agent
from houses.places import House
from houses.refusals import NotFound
from houses.resources import Resource
from houses.rights import permitted
from houses.scopes import KINDS, R
from houses.tenancy import current_house
from houses.tools import Tool
from houses.triggers import AMBIENT, GITHUB_EVENT, MENTION, STREAM_EVENT

# Where the particulars of a trigger name something of the house.
PLACES = {GITHUB_EVENT: "resource", STREAM_EVENT: "stream_id", MENTION: "scope_ids", AMBIENT: "scope_ids"}
SENTENCES = {
    GITHUB_EVENT: "config.resource: this house has no such resource; see Settings → Resources.",
    STREAM_EVENT: "config.stream_id: this house has no such stream.",
    MENTION: "config.scope_ids: these are ids of threads, or of the house, and one of them is not here.",
}


def require_here(trigger: str, config: dict[str, Any], by: Agent) -> None:
    """What a trigger points at is of this house, and `by` may read it."""
    if hidden([(trigger, config)], by):
        raise NotFound(SENTENCES[MENTION if trigger == AMBIENT else trigger])


def hidden(told: Iterable[tuple[str, dict[str, Any]]], agent: Agent) -> set[str]:
    """Ids in particulars of triggers that the agent is not told: what they stand for is not theirs to read, or gone."""
    named: dict[str, set[str]] = {place: set() for place in PLACES.values()}
    for trigger, config in told:
        if trigger in PLACES:
            named[PLACES[trigger]] |= _ids(config.get(PLACES[trigger]))
    return (
        named["resource"].difference(_seen(Resource, named["resource"], agent))
        | named["scope_ids"].difference(_seen(House, named["scope_ids"], agent), _threads(named["scope_ids"], agent))
        | named["stream_id"].difference(_streams(named["stream_id"], agent))
    )


def shown(aims: Iterable[tuple[str, dict[str, Any], list[str]]], to: Agent) -> list[tuple[dict[str, Any], list[str]]]:
    """The particulars and the tools of policies, as far as somebody may read what they name; at once for all."""
    aims = list(aims)
    unseen = hidden(((trigger, config) for trigger, config, _ in aims), to)
    closed = hidden_tools((tool for _, _, tools in aims for tool in tools), to)
    return [
        (without(trigger, config, unseen), [one for one in tools if one not in closed])
        for trigger, config, tools in aims
    ]


def hidden_tools(ids: Iterable[str], agent: Agent) -> set[str]:
    """Those of these tools that the agent may not read, or that are gone."""
    wanted = set(ids)
    return wanted.difference(_seen(Tool, wanted, agent))


def without(trigger: str, config: dict[str, Any], unseen: set[str]) -> dict[str, Any]:
    """The particulars, less those ids."""
    place = PLACES.get(trigger, "")
    if not unseen & _ids(config.get(place)):
        return config
    rest = {name: value for name, value in config.items() if name != place}
    return rest | ({place: [one for one in config[place] if one not in unseen]} if place == "scope_ids" else {})


def restored(
    trigger: str, config: dict[str, Any], before: dict[str, Any], by: Agent
) -> tuple[dict[str, Any], set[str]]:
    """The particulars with what `by` could not see of them before, which stays as it was; and the ids of that."""
    place, unseen = PLACES.get(trigger, ""), hidden([(trigger, before)], by)
    if not unseen:
        return config, unseen
    if place != "scope_ids":
        return ({place: before[place]} | config), unseen
    given = config.get(place, [])
    if not isinstance(given, list):
        return config, unseen
    return config | {place: [*given, *(one for one in before[place] if one in unseen and one not in given)]}, unseen


def _ids(value: Any) -> set[str]:
    return {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)}


def _seen(model: Any, ids: set[str], agent: Agent) -> set[str]:
    if not ids:
        return set()
    return set(permitted(model._default_manager.filter(pk__in=ids), agent, R).values_list("pk", flat=True))


def _threads(ids: set[str], agent: Agent) -> set[str]:
    return _seen(_model_of("thread"), ids, agent)


def _streams(ids: set[str], agent: Agent) -> set[str]:
    """A stream is read by whoever may read what it tells: a thread, or else the house."""
    if not ids:
        return set()
    threads = _model_of("thread")._default_manager.filter(stream_id__in=ids)
    seen = set(permitted(threads, agent, R).values_list("stream_id", flat=True))
    kept = apps.get_model("streams", "Stream")._default_manager.filter(house_id=current_house())
    if permitted(House.objects.filter(pk=current_house()), agent, R).exists():
        others = kept.filter(pk__in=ids).exclude(pk__in=threads.values("stream_id"))
        seen |= set(others.values_list("pk", flat=True))
    return seen


def _model_of(word: str) -> Any:
    """Threads are above houses; as a kind of scope they are known here."""
    return next(kind.model for kind in KINDS.values() if kind.word == word)
