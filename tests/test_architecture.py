"""Rules worth saying: each is a few lines that fail.

The direction of imports is kept by import-linter's contracts.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

import arbe.settings
from houses.tenancy import inside
from sandboxes.models import Sandbox
from streams.events import CATALOGUE
from threads.log.rendering import TEMPLATED

ROOT = Path(__file__).resolve().parent.parent
APPS = ("arbe", "threads", "sandboxes", "artifacts", "streams", "houses")
MODULES = {
    str(path.relative_to(ROOT)): path.read_text()
    for app in APPS
    for path in sorted((ROOT / app).rglob("*.py"))
    if "migrations" not in path.parts
}
TREES = {path: ast.parse(text) for path, text in MODULES.items()}
TEMPLATES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "templates").rglob("*.html"))}

for app in ("threads", "sandboxes"):
    importlib.import_module(f"{app}.events")  # where kinds are declared

# Who may say `except Exception` or wider, and why; each passes on, or is the last who could.
CATCHERS = {
    "arbe/sweeps.py": "one sweep that fails must not keep the others from running",
    "artifacts/repositories.py": "takes the folder away that has no row, and passes on",
    "artifacts/sources.py": "takes half a copy away, and passes on",
    "sandboxes/doors.py": "a copy of the warden must not live on",
    "sandboxes/launch.py": "a copy of the warden must not live on",
    "streams/serving/exchange.py": "the edge of a request; its bug is answered 500 and logged",
    "streams/serving/server.py": "a lost ring costs a listener a moment; a lost append would cost the event",
    "streams/storage/committing.py": "nobody may be left waiting; a listener's bug is not the writer's",
    "streams/storage/own_thread.py": "whoever waits for the thread has to hear of it",
    "streams/subscriptions/subscription.py": "gives back what was not taken in, and passes on; none may end unseen",
    "streams/subscriptions/register.py": "forgets what was half made, and passes on",
    "threads/answering/aside.py": "the edge of a thread; what is not written down is taken over by the sweep",
    "threads/answering/elsewhere.py": "the edge of a thread; whoever waits for it has to hear of it",
    "threads/following/commands.py": "the edge of a thread; what is not written down is taken over by the sweep",
    "threads/log/live.py": "the page connects again and reads on from where it is",
    "threads/log/rendering.py": "one event that cannot be shown must not take the page away",
    "threads/following/resolving.py": "half a machine is no machine, and passes on",
    "threads/log/watching.py": "without an answer nobody of that house looks on; the other houses do not suffer",
}
FORBIDDEN = {
    "utils",
    "util",
    "common",
    "core",
    "helpers",
    "helper",
    "services",
    "service",
    "manager",
    "managers",
    "misc",
}


def found(pattern, where=MODULES):
    return {path for path, text in where.items() if re.search(pattern, text)}


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_is_one_door_into_a_stream_and_one_for_output():
    """Rows are told through the outbox; output, which has no rows, is appended by whoever follows a command."""
    assert found(r"\bstreams\(\)\.(append|create|shut|delete)\(") == {
        "threads/answering/telling.py",
        "threads/following/driving.py",
        "threads/following/commands.py",
    }
    assert found(r"\b_streams\(\)\.") == {"streams/outbox.py"}
    assert found(r"\bOutbox\.objects\.(bulk_)?create\(|(?<!class )\bOutbox\(") == {"streams/outbox.py"}


def test_only_the_stream_client_knows_http():
    """Everything else reaches streams through it, so that another server can stand behind the same door."""
    assert found(r"(?m)^(import|from) (httpx2?|requests|aiohttp)\b") == {
        "streams/calls.py",
        "streams/client.py",
        "streams/subscriptions/webhooks.py",  # calls others, and reads no streams
        "threads/answering/over_http.py",  # and so do bots: models, and the tools of houses
        "threads/answering/over_mcp.py",
        "threads/answering/reaching.py",
        "threads/answering/thinking.py",
        "threads/answering/troubles.py",
    }


def test_nobody_imports_arbe():
    importing = found(r"(?m)^\s*(from|import) arbe\b")
    assert [path for path in importing if not path.startswith("arbe/")] == []


@pytest.mark.parametrize("part", ["module", "class"])
def test_things_are_named_for_what_they_are(part):
    if part == "module":
        names = {piece for path in MODULES for piece in Path(path).with_suffix("").parts}
        assert names & FORBIDDEN == set()
    else:
        classes = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        assert [
            name for name in classes if re.search(r"(Service|Manager|Helper|Handler|Processor|Util)s?$", name)
        ] == []


def test_whoever_catches_everything_says_why():
    assert found(r"except (Exception|BaseException)\b|except:") == set(CATCHERS)


def test_files_are_short():
    assert {path: text.count("\n") for path, text in MODULES.items() if text.count("\n") > 300} == {}


def test_functions_are_short():
    long = [
        f"{path}:{node.name}"
        for path, tree in TREES.items()
        for node in functions(tree)
        if node.end_lineno - node.lineno >= 40
    ]
    assert long == []


def test_every_module_says_what_it_holds():
    silent = [path for path, tree in TREES.items() if tree.body and not ast.get_docstring(tree)]
    # A command's class says it, for `--help`.
    assert [path for path in silent if not path.endswith(("apps.py", "__init__.py")) and "/commands/" not in path] == []


def test_every_setting_is_explained():
    """Each variable that is read has a line in the table at the top of the settings."""
    explained = set(re.findall(r"\b[A-Z][A-Z_]+\b", arbe.settings.__doc__))
    read = set(re.findall(r"\benv\(\"([A-Z_]+)\"", MODULES["arbe/settings.py"]))
    read |= set(re.findall(r"(?:environ|given)(?:\.get\(|\[)\"([A-Z_]+)\"", "".join(MODULES.values())))
    assert read - explained == set()


@pytest.mark.parametrize("kind", sorted(CATALOGUE))
def test_every_kind_of_event_is_explained_and_drawn(kind):
    assert re.match(r"[A-Z].*\.", CATALOGUE[kind].__dict__["__doc__"])
    drawn = "_state" if kind == "command_started" else "signal" if kind.startswith("signal.") else kind
    assert f"templates/threads/events/{drawn}.html" in TEMPLATES
    assert kind in TEMPLATED or kind.startswith("signal.")


def test_no_kind_is_drawn_that_nobody_declares():
    assert set(CATALOGUE) >= TEMPLATED
    named = {Path(path).stem for path in TEMPLATES if path.startswith("templates/threads/events/")}
    assert {name for name in named if not name.startswith("_")} <= {*CATALOGUE, "signal", "generic"}


@pytest.mark.parametrize("command", sorted(name for name, app in get_commands().items() if app in APPS))
def test_every_command_says_what_it_does(command):
    assert load_command_class("arbe", command).help.strip()


def test_pages_carry_no_script_and_no_style_of_their_own():
    """What the content security policy would refuse anyway."""
    assert (
        found(r"<style|\sstyle=|javascript:|\son(click|load|change|input|submit|error|focus|key\w+)=", TEMPLATES)
        == set()
    )
    assert found(r"<script(?![^>]*\ssrc=)", TEMPLATES) == set()
    assert found(r"hx-on[:-]|hx-vars|hx-vals=['\"]js:", TEMPLATES) == set()


def test_pages_ask_nobody_else_for_anything():
    assert found(r"(src|href)=['\"](https?:)?//", TEMPLATES) == set()


def test_nothing_is_marked_safe_without_a_reason():
    bare = [
        f"{path}: {line.strip()}"
        for path, text in MODULES.items()
        for line in text.splitlines()
        if "mark_safe(" in line and "noqa: S308" not in line and 'mark_safe("")' not in line
    ]
    assert bare == [] and found(r"\|safe\b|autoescape off", TEMPLATES) == set()


def test_every_ignore_has_a_reason():
    bare = r"# noqa(?!: [A-Z0-9, ]+ +(#|-) )|# type: ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]  # )"
    assert {path: re.findall(rf".*(?:{bare}).*", text) for path, text in MODULES.items() if re.search(bare, text)} == {}


def test_a_machine_is_not_waited_for_inside_a_transaction(oak):
    with inside(oak), pytest.raises(RuntimeError, match="inside a transaction"), Sandbox(house=oak).alone():
        pass


def test_the_content_security_policy_lets_nothing_inline_run(client, db):
    policy = client.get("/sign-in/").headers["Content-Security-Policy"]
    assert "unsafe" not in policy and re.search(r"default-src '(self|none)'", policy)


def test_jobs_carry_no_pickles(settings):
    assert {queue["SERIALIZER"] for queue in settings.RQ_QUEUES.values()} == {"rq.serializers.JSONSerializer"}
