"""Starting one step of a make: in a child thread of its own, the command again, or the same bot with the same words."""

from typing import TYPE_CHECKING, Any

from artifacts.recipes import instructions, is_task, maker
from artifacts.steps import Step
from houses.agents import Agent
from houses.refusals import NotFound
from sandboxes.models import Environment
from threads.delegating import bot_named
from threads.placing import task_place
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
        above: dict[str, Any] = {"depth": 0}
        if make.agent.is_bot:  # the run that asked for the make answers for what it costs; a person is nobody's run
            place = task_place(make.thread_id, make.agent)
            above = {"depth": place.depth, "above": place.above}
        child.start_run(instructions(step.recipe), **above, **wanted)
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
