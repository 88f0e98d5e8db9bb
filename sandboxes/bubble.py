"""What a command sees: bubblewrap's arguments. Standard library only, because the warden imports it."""

from __future__ import annotations

import os

AGENT = 1000
HOME = "/home/agent"
TREE = "/home/agent/tree"
OBJECTS = "/run/arbe/objects"
PROGRAMS = "/opt/arbe"

ENV = {
    "PATH": f"{HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    "HOME": HOME,
    "USER": "agent",
    "LOGNAME": "agent",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
ARBE = "/run/arbe/bin/arbe"  # the command by that name, which needs the programs' node
PATH = f"{PROGRAMS}/bin:{os.path.dirname(ARBE)}:{ENV['PATH']}"
MODES = {ARBE: "0755"}
FILES = {
    "/etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nagent:x:{AGENT}:{AGENT}:agent:{HOME}:/bin/sh\n",
    "/etc/group": f"root:x:0:\nagent:x:{AGENT}:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
SYSTEM = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/mime.types", "/etc/fonts")
ONLINE = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl", "/etc/ca-certificates", "/etc/pki", "/etc/services")
OFFLINE_FILES = {"/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n"}
SHM_MB = 64
TMP, VAR_TMP, SHM = "/tmp", "/var/tmp", "/dev/shm"  # noqa: S108 - those of the sandbox


def files(network: bool, arbe: str | None) -> dict[str, str]:
    """Small files that arbe writes itself, so that the host's never show."""
    return FILES | ({} if network else OFFLINE_FILES) | ({ARBE: arbe} if arbe else {})


def arguments(
    *,
    home: str,
    tree: str,
    objects: str | None,
    programs: str | None,
    data: dict[str, int],
    env: dict[str, str],
    cwd: str,
    network: bool,
    tmp_mb: int,
) -> list[str]:
    """Everything before the command; `data` maps a file inside to the descriptor its text is read from."""
    return [
        *_apart(network),
        *_system(SYSTEM + (ONLINE if network else ())),
        *_writable(home, tree, tmp_mb),
        *(("--ro-bind", objects, OBJECTS) if objects else ()),
        *(("--ro-bind", programs, PROGRAMS) if programs else ()),
        *(
            word
            for path, fd in data.items()
            for word in ("--perms", MODES.get(path, "0644"), "--ro-bind-data", str(fd), path)
        ),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", cwd, "--clearenv"),
        *(
            word
            for name, value in (ENV | ({"PATH": PATH} if programs else {}) | env).items()
            for word in ("--setenv", name, value)
        ),
    ]


def _apart(network: bool) -> list[str]:
    own = ["user", "pid", "ipc", "uts", "cgroup"] + ([] if network else ["net"])
    return [
        *(f"--unshare-{name}" for name in own),
        *("--disable-userns", "--uid", str(AGENT), "--gid", str(AGENT), "--hostname", "sandbox"),
        *("--cap-drop", "ALL", "--new-session", "--die-with-parent"),
    ]


def _system(etc: tuple[str, ...]) -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    for directory in ("/etc", "/home", "/var", "/run"):
        words += ["--perms", "0755", "--dir", directory]
    for path in etc:
        words += ["--ro-bind-try", path, path]
    return [*words, "--symlink", "../tmp", VAR_TMP, "--proc", "/proc", "--dev", "/dev"]


def _writable(home: str, tree: str, tmp_mb: int) -> list[str]:
    # Mounts of their own cannot be swapped for a symbolic link from inside, so arbe never follows one out.
    return [
        *("--size", str(tmp_mb << 20), "--perms", "1777", "--tmpfs", TMP),
        *("--size", str(min(SHM_MB, tmp_mb) << 20), "--perms", "1777", "--tmpfs", SHM),
        *("--bind", home, HOME, "--bind", tree, TREE),
    ]
