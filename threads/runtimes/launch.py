"""Starting an agent's program: where it keeps its things, what it is told of the place, and the script that does it."""

import re
import shlex

from threads.runtimes.adapter import Launch, Task

PROGRAMS = "/opt/arbe/bin"
HOME = "/home/agent"
TREE, STATE = f"{HOME}/tree", f"{HOME}/.arbe"
DOOR = "@DOOR@"  # stands for the address of the door, which is another in every run
KEY = "arbe"  # the real one is put in at the door
PIECE = 24 * 1024  # characters: a variable may have 128 kB, and a character four bytes
LONG = 1000  # characters of a word that is kept out of the script: quoted it can be five times as long

PLACE = f"""\
You work in a sandbox, in {TREE}: a git repository, on a branch that is yours for this task. What you leave there
when you end is kept and merged; you need not commit. People watch what you do, and may say something while you work.
Your last message is read as the result: say what you did, and what is left to do. In the shell, the command `arbe`
speaks to the thread that you work in: `arbe delegate [--bot NAME] [--wait] TEXT` hands a task to another agent;
`arbe ask @NAME QUESTION` asks somebody, and the answer comes as a message; `arbe say TEXT` says something there;
`arbe make PATH` makes a file again from what it was made of; `arbe read` prints what happened there."""

# Replaces the mark in its argument by the door's address; the `x` keeps newlines at the end.
FILL = """fill() {
  left=$1; filled=
  while :; do
    case $left in
      *@DOOR@*) filled=$filled${left%%@DOOR@*}$ARBE_DOOR; left=${left#*@DOOR@} ;;
      *) filled=$filled$left; return ;;
    esac
  done
}
"""


def state(task: Task, program: str) -> str:
    """The folder in which a program keeps its session of a thread, and nothing else does."""
    return f"{STATE}/{_plain(task.thread_id)}/{program}"


def scratch(task: Task, program: str) -> str:
    """A folder for what a program can make again from its session, and is not kept."""
    return f"{HOME}/.cache/arbe/{_plain(task.thread_id)}/{program}"


def told(task: Task) -> str:
    """What the agent is told before anything else: the bot's own words, then what this place is."""
    return f"{task.system_prompt.strip()}\n\n{PLACE}".strip()


def variables(launch: Launch) -> dict[str, str]:
    """The environment that the script expects: its own, and what files and long words are, a piece to a variable."""
    texts = [("FILE", number, text) for number, text in enumerate(launch.files.values())]
    texts += [("WORD", number, word) for number, word in enumerate(launch.argv) if len(word) > LONG]
    pieces = {
        name: piece
        for what, number, text in texts
        for name, piece in zip(_names(what, number, text), _pieces(text), strict=True)
    }
    return launch.env | pieces


def launch_script(launch: Launch) -> str:
    """POSIX shell that writes the files, puts the door in and becomes the program."""
    lines = [FILL + "umask 077"]
    lines += [f'fill "${name}"; export {name}="$filled"' for name in sorted(launch.env) if DOOR in launch.env[name]]
    for number, (path, text) in enumerate(launch.files.items()):
        names = _names("FILE", number, text)
        lines.append(f"mkdir -p {shlex.quote(path.rpartition('/')[0] or '/')}")
        lines.append(f"fill {_whole(names)}; printf '%s' \"$filled\" > {shlex.quote(path)}")
        lines.append(f"unset {' '.join(names)}")
    lines.append("set --")
    for number, word in enumerate(launch.argv):
        names = _names("WORD", number, word) if len(word) > LONG else []
        lines.append(f'fill {_whole(names) or shlex.quote(word)}; set -- "$@" "$filled"')
        lines += [f"unset {' '.join(names)}"] if names else []
    lines.append('unset left filled; exec "$@"')
    return "\n".join(lines)


def _plain(thread_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", thread_id)


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)] or [""]


def _names(what: str, number: int, text: str) -> list[str]:
    return [f"ARBE_{what}_{number}_{piece}" for piece in range(len(_pieces(text)))]


def _whole(names: list[str]) -> str:
    """A word for the shell: these variables, one after the other. Empty without any."""
    return f'"{"".join(f"${{{name}}}" for name in names)}"' if names else ""
