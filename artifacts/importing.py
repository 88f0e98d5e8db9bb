"""Rebuilding the rows of derivations from the notes that a repository brought along."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone

from artifacts import graph
from artifacts.current import bot_of
from artifacts.derivations import DECLARED, OBSERVED, Derivation, Input
from artifacts.made import recipe_oid
from artifacts.notes import notes
from artifacts.paths import is_inside_repository
from artifacts.recipes import COMMAND, TASK
from houses.models import Member

if TYPE_CHECKING:
    from artifacts.repositories import Repository


def rebuild(repository: "Repository") -> None:
    """The latest derivation of each path, from the notes. What somebody elsewhere claims is taken as a claim:

    makers are only named as agents if they are in this house, and threads and commands of elsewhere are not linked.
    """
    latest: dict[str, tuple[Derivation, list[Input]]] = {}
    members = set(Member.objects.values_list("agent_id", flat=True))
    for commit, told in notes(repository.bare):
        row = _derivation(repository, commit, told, members)
        if row and (row.path not in latest or latest[row.path][0].made_at <= row.made_at):
            latest[row.path] = (row, list(_inputs(repository, told, row)))
    if latest:
        Derivation.objects.insert([row for row, _ in latest.values()])
        for row, inputs in latest.values():
            for one in inputs:
                one.derivation_id = row.pk
        Input.objects.bulk_create([one for _, inputs in latest.values() for one in inputs], batch_size=2000)
        graph.check(repository)


def _derivation(repository: "Repository", commit: str, told: dict[str, Any], members: set[UUID]) -> Derivation | None:
    recipe = told.get("recipe")
    if not _is_path(told.get("path")) or not _is_oid(told.get("oid")) or not isinstance(recipe, dict):
        return None
    recipe = _recipe(recipe, members)
    if recipe is None:
        return None
    maker = _uuid(told.get("by"))
    bot, bot_digest = bot_of(recipe)
    return Derivation(
        house_id=repository.house_id,
        repository=repository,
        path=told["path"],
        oid=told["oid"],
        commit=commit,
        recipe=recipe,
        recipe_oid=recipe_oid(repository.bare, recipe),
        bot=bot,
        bot_digest=bot_digest,
        made_by_id=maker if maker in members else None,
        made_by_name=_text(told.get("name")),
        asked_by_name=_text(told.get("asked")),
        made_at=_time(told.get("at")),
        seconds=told["seconds"] if isinstance(told.get("seconds"), int | float) else 0,
        known_complete=told.get("complete") is True,
        failed=told.get("failed") is True,
    )


def _recipe(told: dict[str, Any], members: set[UUID]) -> dict[str, Any] | None:
    """As much of a recipe as means something here: no environment of elsewhere, and a bot only if it is here, too."""
    if told.get("kind") == COMMAND and isinstance(told.get("command"), str):
        return {"kind": COMMAND, "command": _clean(told["command"])}
    if told.get("kind") != TASK or not isinstance(told.get("prompt"), str):
        return None
    bot = _uuid(told.get("bot"))
    known = {name: _text(told.get(name)) for name in ("runtime", "bot_name", "model")}
    known["system_prompt"] = _clean(str(told.get("system_prompt") or ""))
    return {"kind": TASK, "prompt": _clean(told["prompt"]), "bot": str(bot) if bot in members else "", **known}


def _inputs(repository: "Repository", told: dict[str, Any], row: Derivation) -> Iterator[Input]:
    listed = told.get("inputs")
    seen: set[str] = set()
    for one in listed if isinstance(listed, list) else []:
        path, oid = (one.get("path"), one.get("oid")) if isinstance(one, dict) else (None, None)
        if isinstance(path, str) and isinstance(oid, str) and _is_path(path) and _is_oid(oid) and path not in seen:
            seen.add(path)
            how = OBSERVED if one.get("how") == OBSERVED else DECLARED
            yield Input(house_id=repository.house_id, repository=repository, path=path, oid=oid, how=how)


def _is_path(value: object) -> bool:
    return isinstance(value, str) and is_inside_repository(value)


def _is_oid(value: object) -> bool:
    return isinstance(value, str) and len(value) == 40 and not set(value) - set("0123456789abcdef")


def _text(value: object) -> str:
    return _clean(value)[:200] if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """JSON can say what no text in UTF-8 and no database holds: half a character, and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _time(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.fromtimestamp(0, timezone.get_current_timezone())
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
