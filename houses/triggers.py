"""Triggers: what can start a bot, and what each kind has to say about itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]  # it has no types

from houses.particulars import particulars
from houses.refusals import Invalid
from houses.texts import text_of, word, words_of

CRON, INTERVAL, WEBHOOK, STREAM_EVENT, GITHUB_EVENT, MENTION, AMBIENT = (
    "cron",
    "interval",
    "webhook",
    "stream-event",
    "github-event",
    "mention",
    "ambient",
)
TRIGGERS = (CRON, INTERVAL, WEBHOOK, STREAM_EVENT, GITHUB_EVENT, MENTION, AMBIENT)
SOONEST, LATEST = 1_000, 366 * 86_400_000  # ms
PATH = re.compile(r"/hooks/[a-z0-9][a-z0-9_-]{0,99}")
ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")

Config = dict[str, Any]


def checked_trigger(trigger: Any, config: Any) -> tuple[str, Config]:
    """The trigger and its particulars, if they mean something; another word is free to. Raises `Invalid`."""
    trigger, config = word(trigger, "trigger"), particulars(config, "config")
    if trigger not in KNOWN:
        return trigger, config
    checked, names = KNOWN[trigger].checked, KNOWN[trigger].names
    if unknown := sorted(set(config) - set(names)):
        raise Invalid(f"config.{unknown[0][:60]}: {trigger} has no such thing; it has {', '.join(names)}.")
    return trigger, checked(config)


def _cron(config: Config) -> Config:
    expression = " ".join(text_of(config.get("expression", ""), "config.expression", 200).split())
    if len(expression.split(" ")) != 5 or not croniter.is_valid(expression):
        raise Invalid(
            "config.expression: this is five fields, minute hour day month weekday: `0 9 * * 1` is Mondays at nine."
        )
    try:
        croniter(expression).get_next()
    except CroniterBadDateError as never:
        raise Invalid("config.expression: such a day never comes.") from never
    return {"expression": expression, "zone": _zone(config.get("zone", "UTC"))}


def _zone(given: Any) -> str:
    zone = text_of(given, "config.zone", 60)
    try:
        if ZONE.fullmatch(zone):
            return ZoneInfo(zone).key
    except (KeyError, ValueError, OSError):  # nothing of the database, or one of its folders
        pass
    raise Invalid("config.zone: this is the name of a time zone, like Europe/Berlin or UTC.")


def _interval(config: Config) -> Config:
    ms = config.get("ms")
    if isinstance(ms, bool) or not isinstance(ms, int) or not SOONEST <= ms <= LATEST:
        raise Invalid("config.ms: this is a number of milliseconds, from 1,000 to a year.")
    return {"ms": ms}


def _webhook(config: Config) -> Config:
    path = config.get("path")
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise Invalid("config.path: this is a path like /hooks/my-agent, of small letters, digits, - and _.")
    return {"path": path}


def _stream_event(config: Config) -> Config:
    kept: Config = {"stream_id": text_of(config.get("stream_id", ""), "config.stream_id", 100, needed=True)}
    if config.get("filter") is not None:
        if not isinstance(config["filter"], dict):
            raise Invalid("config.filter: this is an object that the event has to look like.")
        kept["filter"] = config["filter"]
    return kept


def _github_event(config: Config) -> Config:
    resource = text_of(config.get("resource", ""), "config.resource", 60, needed=True)
    events = words_of(config.get("events", []), "config.events")
    if not events or not all(re.fullmatch(r"[a-z_]+(\.[a-z_]+)?", event) for event in events):
        raise Invalid("config.events: these are the names of events, like push or pull_request.opened.")
    return {"resource": resource, "events": events}


def _mention(config: Config) -> Config:
    return {"scope_ids": words_of(config.get("scope_ids", []), "config.scope_ids")}


def _ambient(config: Config) -> Config:
    delay = config.get("delay_ms", 5_000)
    if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= 86_400_000:
        raise Invalid("config.delay_ms: this is a number of milliseconds, up to a day.")
    return _mention(config) | {"delay_ms": delay}


@dataclass(frozen=True)
class Known:
    """A trigger that means something here: what it has to say, how that is checked, and an example of it."""

    names: tuple[str, ...]
    checked: Callable[[Config], Config]
    example: Config


KNOWN = {
    CRON: Known(("expression", "zone"), _cron, {"expression": "0 9 * * 1", "zone": "Europe/Berlin"}),
    INTERVAL: Known(("ms",), _interval, {"ms": 3_600_000}),
    WEBHOOK: Known(("path",), _webhook, {"path": "/hooks/my-agent"}),
    STREAM_EVENT: Known(("stream_id", "filter"), _stream_event, {"stream_id": "…", "filter": {"type": "message"}}),
    GITHUB_EVENT: Known(("resource", "events"), _github_event, {"resource": "…", "events": ["push"]}),
    MENTION: Known(("scope_ids",), _mention, {"scope_ids": ["…"]}),
    AMBIENT: Known(("scope_ids", "delay_ms"), _ambient, {"scope_ids": ["…"], "delay_ms": 5_000}),
}


def in_words(trigger: str, config: Config) -> str:
    """When that is, as a list of policies says it. What was not written by a verb may lack particulars."""
    try:
        return TOLD[trigger](config) if trigger in TOLD else trigger
    except KeyError:
        return trigger


def _lasting(ms: int) -> str:
    for unit, length in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if ms >= length and ms % length == 0:
            return f"{ms // length} {unit}"
    return f"{ms:,} ms"


TOLD: dict[str, Callable[[Config], str]] = {
    CRON: lambda config: f"at {config['expression']}, {config['zone']}",
    INTERVAL: lambda config: f"every {_lasting(config['ms'])}",
    WEBHOOK: lambda config: f"when {config['path']} is called",
    STREAM_EVENT: lambda config: f"when stream {config['stream_id']} gets an event",
    GITHUB_EVENT: lambda config: f"at {', '.join(config['events'])}",
    MENTION: lambda config: "when it is mentioned",
    AMBIENT: lambda config: f"{_lasting(config['delay_ms'])} after somebody said something",
}
