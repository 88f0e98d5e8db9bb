"""What an installation has besides tables: tools that every house sees, and a log that nobody changes."""

import json

from django.db import migrations

TEXT = {"type": "string"}


def takes(*required: str, **properties: object) -> dict[str, object]:
    """The JSON Schema of a tool's input."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


# Name, what it does, and what it takes.
TOOLS = [
    ("run_command", "Run a shell command in the thread's sandbox.", takes("command", command=TEXT)),
    (
        "delegate_task",
        "Hand a task to a coding agent, in a thread and a sandbox of its own.",
        takes("agent", "prompt", agent=TEXT, prompt=TEXT, environment=TEXT),
    ),
    ("make", "Make a file again, and what it is made from, as far as that went stale.", takes("target", target=TEXT)),
    ("read_file", "Read a file of a repository.", takes("path", path=TEXT, repository=TEXT)),
    (
        "remember",
        "Keep something to know it again.",
        takes("text", text=TEXT, subject=TEXT, kind=TEXT, tags={"type": "array", "items": TEXT}),
    ),
    ("recall", "Find what was remembered.", takes("query", query=TEXT)),
]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_ROWS = ", ".join(
    f"({_quoted(name)}, {_quoted(name)}, {_quoted(told)}, 'builtin', {_quoted(json.dumps(schema))})"
    for name, told, schema in TOOLS
)
# No role but the operator's may write what belongs to no house; the owner may take that role up.
BUILTIN_TOOLS = f"""
SET LOCAL ROLE arbe_operator;
INSERT INTO tools (id, name, description, kind, schema) VALUES {_ROWS};
RESET ROLE;
"""  # noqa: S608  # every word of it is above
APPEND_ONLY = """
REVOKE ALL ON mutations FROM arbe_app, arbe_operator;
GRANT SELECT ON mutations TO arbe_app;
GRANT SELECT, INSERT ON mutations TO arbe_operator;
"""

INSTALLATION = [
    migrations.RunSQL(APPEND_ONLY, migrations.RunSQL.noop),
    migrations.RunSQL(BUILTIN_TOOLS, migrations.RunSQL.noop),
]
