"""How the run of an agent is started: its program, its doors, and where its session is."""

from django.conf import settings

from artifacts.merge import OURS
from artifacts.models import Repository
from artifacts.repositories import author
from houses import run_tokens
from houses.bots import CHAT, MESSAGES, RESPONSES
from sandboxes.models import Sandbox
from sandboxes.provider import Door, Exec
from sandboxes.redaction import Redactor
from threads.commands import Command
from threads.handing import MODEL_KEY, Handed, place
from threads.runtimes.adapter import Adapter, Task
from threads.runtimes.adapters import adapter
from threads.runtimes.launch import launch_script, variables

MOST_EARLIER = 64 * 1024  # characters
STATE = ".arbe"  # the folder of the home that holds sessions, one for each thread
# All that the house's key is put in for: what else its provider does for who has it, no agent asks for.
ASKS = {
    CHAT: ("POST /chat/completions", "GET /models"),
    RESPONSES: ("POST /responses", "GET /models"),
    MESSAGES: ("POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models"),
}


def adapter_of(run: Command) -> Adapter:
    """A new adapter, which has heard nothing yet."""
    recipe = run.task
    session = run.session.get("before", "")
    task = Task(
        run_id=run.pk,
        thread_id=run.thread_id,
        session=session,
        resumes=bool(session),
        prompt=_told(run),
        model=recipe["model"],
        api=recipe["api"],
        system_prompt=recipe["system_prompt"],
    )
    return adapter(recipe["runtime"], task)


def _told(run: Command) -> str:
    """What was said to it; and that the branch went on without it, where what both did has to be brought together."""
    marked, said = run.session.get("marked"), run.text
    if earlier := run.session.get("earlier"):
        said = f"[You do not remember this thread. What you were told before:]\n\n{earlier}\n\n[And now:]\n\n{said}"
    if not marked:
        return said
    return (
        f"{said}\n\n[What you did before has not landed: `{marked['branch']}` has changed meanwhile. Both sides "
        f"are in {', '.join(marked['files'])}, between the marks <<<<<<< {OURS} and >>>>>>> {marked['branch']}; "
        "bring them together.]"
    )


def exec_of(run: Command, handed: Handed) -> Exec:
    """What its machine is asked to run. Keys are held at the doors and never come inside."""
    environment, recipe = run.environment, run.task
    launch = adapter_of(run).launch()
    keys = _key_headers(recipe["api"], handed.held.get(MODEL_KEY, ""))
    token = {"authorization": f"Bearer {handed.held.get(run_tokens.NAME, '')}"}
    return Exec(
        process_id=run.pk,
        command=launch_script(launch),
        env=author(run.actor).variables
        | environment.variables()
        | place(run.house_id, run.thread_id)
        | handed.values
        | variables(launch),
        limits=environment.run_limits,
        network=environment.network,
        programs=True,
        takes_input=True,
        doors=(
            Door(
                prefix="model",
                url=recipe["address"],
                headers=keys,
                drops=("authorization", "x-api-key"),
                public=not settings.LOCAL_MODELS,
                only=ASKS[recipe["api"]],
            ),
            Door(prefix="arbe", url=settings.ARBE_URL, headers=token, drops=("authorization", "cookie")),
        ),
    )


def _key_headers(api: str, key: str) -> dict[str, str]:
    if not key:
        return {}
    return {"x-api-key": key} if api == MESSAGES else {"authorization": f"Bearer {key}"}


def bring_session(run: Command, sandbox: Sandbox) -> None:
    """A machine that does not have the session of the run before gets it as it was packed last, if it ever was."""
    packed, there = run.session.get("tree"), run.session.get("sandbox")
    if there != sandbox.pk and packed:
        repository = run.environment.repository
        sandbox.machine.unpack(sandbox.ref, repository.bare.path, f"{STATE}/{run.thread_id}", packed)
    elif there != sandbox.pk:
        run.session.pop("before", None)  # it died with its machine: the agent begins anew
    run.session["sandbox"] = sandbox.pk
    if not run.session.get("before"):
        run.session["earlier"] = _earlier(run)


def _earlier(run: Command) -> str:
    """What the runs before it were told, as far as there is room, from the last: no agent remembers that."""
    runs = run.thread.commands.filter(bot=run.bot_id, created_at__lt=run.created_at).order_by("-created_at")
    texts: list[str] = []
    for text in runs.values_list("text", flat=True)[:50]:
        if sum(map(len, texts)) + len(text) > MOST_EARLIER:
            break
        texts.append(text)
    return "\n\n".join(reversed(texts))


def pack_session(run: Command, repository: Repository, redactor: Redactor) -> str:
    """The session as it is now, in the repository's object store, without what the agent may have seen of secrets.

    Call it outside of any transaction. Raises `ProviderError`.
    """
    sandbox = run.sandbox
    assert sandbox is not None
    return sandbox.machine.pack(sandbox.ref, repository.bare.path, f"{STATE}/{run.thread_id}", redactor.hide)
