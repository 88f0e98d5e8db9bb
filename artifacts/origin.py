"""What a file's page says about where it came from: one line, the causes behind it, and the drawing."""

from collections.abc import Mapping
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from artifacts.drawing import Node, draw
from artifacts.finding import address
from artifacts.graph import OF_FILES
from artifacts.models import Repository
from artifacts.plan import UnknownTarget
from artifacts.story import SOURCE, Cause, Why
from houses.models import House
from houses.refusals import Refused

Digests = Mapping[str, str]
WORDS = {
    "input_changed": ("changed", "is not what {target} was made from"),
    "input_missing": ("gone", "is not there any more; {target} was made from it"),
    "environment_changed": ("environment", "was made in an environment that is another one now"),
    "runtime_changed": ("bot", "was made by a bot that works with another program now"),
    "model_changed": ("model", "was made with another model than its bot has now"),
    "system_prompt_changed": ("bot", "was made by a bot that is told something else now"),
    "output_missing": ("missing", "is not there"),
    "failed": ("failed", "was written by a command that failed"),
    "edited": ("edited", "was edited by hand"),
    "upstream": ("upstream", "is made again first"),
}
DRAWN = 60  # files of a lineage on a page


def origin_of(house: House, repository: Repository, path: str, digests: Digests) -> dict[str, Any] | None:
    """The context of `_origin.html`; None for a file that no command made."""
    try:
        why = repository.why(path, digests)
    except UnknownTarget:
        return None
    row = why.derivation
    downstream = _states(house, repository, why, digests)
    if row is None:
        return {"state": "", "is_source": True, "downstream": downstream} if downstream else None
    return {
        "state": why.state,
        "by": row.made_by_name or str(row.made_by or "somebody"),
        "at": row.made_at,
        "recipe": row.headline,
        "task": row.task,
        "asked_by": row.asked_by_name,
        "run": row.command_id,
        "inputs": [{"path": one.path, "url": address(house, repository, one.path)} for one in why.inputs],
        "sentence": " ".join(map(str, why.reasons[:2])),
        "causes": [_cause(house, repository, cause) for cause in why.causes],
        "downstream": downstream,
        **_counts(repository, path, why.state, digests),
    }


def _counts(repository: Repository, path: str, state: str, digests: Digests) -> dict[str, Any]:
    if state == "fresh":
        return {}
    try:
        plan = repository.plan(path, digests)
    except Refused as refused:  # edited by hand, or a cycle: the page says so instead of offering a button
        return {"refusal": refused.detail}
    return {"stale_count": len(plan.steps), "step_count": len(plan.steps) + plan.fresh}


def _cause(house: House, repository: Repository, cause: Cause) -> dict[str, Any]:
    reason = cause.reason
    word, words = WORDS[reason.kind]
    is_file = reason.kind in OF_FILES
    shown = reason.path if is_file else cause.target
    return {
        "word": word,
        "path": shown,
        "url": address(house, repository, shown),
        "words": words.format(target=cause.target),
        "old": reason.old,
        "new": reason.new,
        "author": cause.author,
        "at": cause.at,
        "commit": cause.commit,
    }


def _states(house: House, repository: Repository, why: Why, digests: Digests) -> list[dict[str, Any]]:
    if not why.downstream:
        return []
    stale = repository.stale(digests)
    return [
        {
            "path": path,
            "url": address(house, repository, path),
            "state": stale[path].state if path in stale else "fresh",
        }
        for path in why.downstream[:DRAWN]
    ]


def lineage_of(house: House, repository: Repository, path: str, digests: Digests) -> SafeString | str:
    """The drawing around a file, or nothing when it stands alone."""
    lineage = repository.lineage(path, digests, DRAWN)
    if len(lineage.nodes) < 2:
        return ""
    nodes = [
        Node(
            path=one.path,
            state="" if one.state == SOURCE else one.state,
            sub="source" if one.state == SOURCE else one.state,
            url=address(house, repository, one.path),
            current=one.path == path,
        )
        for one in lineage.nodes
    ]
    changed = {
        reason.path
        for staleness in repository.stale(digests).values()
        for reason in staleness.reasons
        if reason.kind == "input_changed"
    }
    for node in nodes:
        if node.path in changed and not node.state:
            node.state, node.sub = "changed", "changed since"
    return render_to_string("artifacts/_lineage.html", {**draw(nodes, list(lineage.edges)), "path": path})
