"""Programs that are installed in the place of the agents', and do what those never should."""

import json
import shlex

from sandboxes.pins import PROGRAMS
from tests.agents.model import KEY

NOISE = "yes \"$(head -c 1000 /dev/zero | tr '\\0' n)\" | head -c 100000000"
LONG_LINE = "head -c 20000000 /dev/zero | tr '\\0' x; echo"
GARBAGE = """printf '%s\\n' 'not json' '{"half":' '[]' '{"type":"nobody knows"}' '{"type":null}' '42' '\xff\xfe' '"'"""
DEAF = """trap '' TERM INT HUP; (setsid sh -c "trap '' TERM; exec sleep 6011.25" &); echo deaf; exec sleep 6011.5"""
SILENT = "exit 0"
HIDDEN = "[secret the model's key]"
TELLTALES = {
    "all": ("completed", f"The key is {HIDDEN}."),
    "error": ("failed", f"The model's provider refused the key (401 not {HIDDEN})."),
    "crash": ("failed", f"The agent's program ended with exit code 3 before it began: boom {HIDDEN}."),
}


def install(folder, name, script):
    """A folder of programs in which that one is a script for the shell."""
    (folder / "bin").mkdir(parents=True)
    for one in ("node", name):
        program = PROGRAMS[one]
        (folder / f"{one}-{program.version}").mkdir()
        (folder / "bin" / program.command).write_text(f"#!/bin/sh\n# {one}-{program.version}\n{script}\n")
        (folder / "bin" / program.command).chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def telltale(what):
    """For the shell: what pi prints, with the model's key wherever there is room for it."""
    if what == "crash":
        return f"echo boom {KEY}; exit 3"
    update = {"type": "tool_execution_update", "toolCallId": "c1"}
    usage = {"input": 1e30, "output": 1e30, "cost": {"total": 1e30}}
    ends = {"stopReason": "error", "errorMessage": f"401 not {KEY}"} if what == "error" else {"stopReason": "stop"}
    call = {"toolCallId": "c1", "toolName": "bash"}
    lines = [
        {"type": "agent_start"},
        {"type": "tool_execution_start", **call, "args": {"command": f"echo {KEY}", KEY: KEY}},
        {**update, "partialResult": {"content": [{"type": "text", "text": f"a {KEY[:9]}"}]}},
        {**update, "partialResult": {"content": [{"type": "text", "text": f"a {KEY} b"}]}},
        {"type": "tool_execution_end", **call, "result": {"content": [{"type": "text", "text": f"a {KEY} b"}]}},
        {
            "type": "message_end",
            "message": {"role": "assistant", "content": f"The key is {KEY}.", "usage": usage, **ends},
        },
        {"type": "agent_settled"},
    ]
    kept = lines if what == "all" else [lines[0], *lines[-2:]]
    return "printf '%s\\n' " + " ".join(shlex.quote(json.dumps(line)) for line in kept)
