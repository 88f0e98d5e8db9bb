"""The set-up script of an environment: run once in a new machine, before its first command."""

import sys
from collections.abc import Callable

from houses.refusals import Refused
from sandboxes.environments import Environment
from sandboxes.provider import Exec, Provider, ProviderError

PROCESS = "setup"


class SetupFailed(Refused):
    """The environment's set-up script did not end well."""

    code = "setup_failed"


def set_up(machine: Provider, ref: str, environment: Environment, is_wanted: Callable[[], bool]) -> bool:
    """Run it and wait; False if there is none. Ends it, and refuses, as soon as nobody wants it any more.

    Raises `SetupFailed`, or a passing `ProviderError` if it was ended from outside and is worth another try.
    """
    script = environment.config.get("setup", "").strip()
    if not script:
        return False
    what = Exec(
        process_id=PROCESS,
        command=script,
        env=environment.variables(),
        limits=environment.limits,
        network=environment.network,
    )
    machine.exec(ref, what)
    while (ended := machine.poll(ref, PROCESS)) is None:
        if not is_wanted():
            machine.stop(ref, PROCESS)
            raise Refused("It was stopped before it began.")
        machine.wait(ref, PROCESS, sys.maxsize, timeout=1)
    if ended.reason in ("stopped", "lost"):
        raise ProviderError("The set-up was ended from outside.", permanent=False)
    if ended.code != 0:
        said = machine.read(ref, PROCESS, max(0, ended.output_bytes - 2000), 2000).decode(errors="replace")
        raise SetupFailed(f"The set-up of {environment.name} ended with {ended.code}: {said.strip()[-800:]}")
    return True
