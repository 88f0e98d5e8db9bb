"""Programs that are installed in the place of the agents', and do what those never should."""

from sandboxes.pins import PROGRAMS

NOISE = "yes \"$(head -c 1000 /dev/zero | tr '\\0' n)\" | head -c 100000000"
LONG_LINE = "head -c 20000000 /dev/zero | tr '\\0' x; echo"
GARBAGE = """printf '%s\\n' 'not json' '{"half":' '[]' '{"type":"nobody knows"}' '{"type":null}' '42' '\xff\xfe' '"'"""
DEAF = """trap '' TERM INT HUP; (setsid sh -c "trap '' TERM; exec sleep 6011.25" &); echo deaf; exec sleep 6011.5"""
SILENT = "exit 0"


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
