"""Starting one step of a make: in a child thread of its own, the command again, or the same bot with the same words."""

from typing import TYPE_CHECKING, Any

from artifacts.recipes import instructions, is_task, maker
from artifacts.steps import Step
from houses.agents import Agent
from houses.refusals import NotFound
from sandboxes.models import Environment
from threads.delegating import MOST_DEPTH, TooManyTasks, bot_named
from threads.thread import Thread

if TYPE_CHECKING:
    from threads.makes import Make


def start(make: "Make", step: Step) -> None:
    """Whoever asked for the make asks for it. Raises what queueing a command, or starting a run, refuses."""
    is_asked = is_task(step.recipe)
    environment = Environment.objects.filter(pk=step.environment).first()
    child = Thread.objects.begin_in(
        make.house_id,
        by=make.agent,
        name=f"make {', '.join(step.outputs)}",
        parent=make.thread,
        environment=environment or make.thread.resolve_environment(),
        bot=asked_again(step) if is_asked else None,
    )
    wanted: dict[str, Any] = {"by": make.agent, "make": make, "step": step.key, "targets": list(step.outputs)}
    if is_asked:
        depth, above = _below(make)
        child.start_run(instructions(step.recipe), depth=depth, above=above, **wanted)
    else:
        child.queue(step.command, **wanted)


def asked_again(step: Step) -> Agent:
    """The bot that did it before, as it is set up now; if that was elsewhere, one of its name. Raises `NotFound`."""
    for word in (step.recipe.get("bot"), step.recipe.get("bot_name")):
        try:
            if word:
                return bot_named(str(word))
        except NotFound:
            continue
    raise NotFound(
        f"{', '.join(step.outputs)} was made by {maker(step.recipe)}, who is not in this house. "
        "Let a bot of that name in under Settings → Agents, or hand the task to another one."
    )


def _below(make: "Make") -> tuple[int, str]:
    """How deep its tasks are, and below which run: one that asked for the make answers for what that costs."""
    if make.thread.agent_id != make.agent_id:
        return 0, ""
    run = make.thread.commands.filter(bot=make.agent_id).order_by("-created_at", "-pk").first()
    if run is None:
        return 0, ""
    if run.depth >= MOST_DEPTH:
        raise TooManyTasks(f"This task was handed on {MOST_DEPTH} times already; do it here.")
    return run.depth + 1, run.pk
