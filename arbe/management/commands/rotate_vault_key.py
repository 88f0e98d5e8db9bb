import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arbe import private_files, process_env
from houses.identity import reseal_factors
from houses.refusals import Refused
from houses.resealing import BATCH, reseal


class Command(BaseCommand):
    """Seal all secrets and second factors again, with the vault's current key. It may be killed and said again.

    For a new key: say `rotate_vault_key --new`, start arbe again, and say `rotate_vault_key`. Where ARBE_VAULT_KEY or
    ARBE_VAULT_KEY_FILE names the key, `--new` prints one: name it there, and the one until now in ARBE_VAULT_OLD_KEYS.
    With several machines, name the new key among the old ones on all of them first, so that each opens what another
    seals. Keep the old key for one more day, for answers kept for repeated requests, and with backups from before.
    """

    requires_system_checks = ()
    help = " ".join((__doc__ or "").split())

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--new", action="store_true", help="make a new key instead; nothing is sealed again yet")
        parser.add_argument("--batch", type=int, default=BATCH, help="values that one transaction changes")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["new"]:
            self._make()
            return
        if not settings.VAULT_KEY:
            raise CommandError("There is no vault key: set ARBE_VAULT_KEY or ARBE_VAULT_KEY_FILE.")
        try:
            done, broken = reseal(max(1, options["batch"]))
            factors, lost = reseal_factors()
        except Refused as refused:
            raise CommandError(refused.detail) from refused
        self.stdout.write(f"{done} values are sealed with the current key now.")
        if factors:
            self.stdout.write(f"{factors} second factors are sealed with the current key now.")
        if broken:
            raise CommandError(f"{broken} values are left: they do not open with the key that they name.")
        if lost:
            raise CommandError(f"{lost} second factors are left: no key opens them. Take them off in the admin.")

    def _make(self) -> None:
        file = process_env.renew_vault_key(os.environ, settings.ARBE_VAR)
        if file is None:
            self.stdout.write(private_files.new_key())
            sys.stderr.write("Name it in ARBE_VAULT_KEY, and the one until now in ARBE_VAULT_OLD_KEYS.\n")
        else:
            self.stdout.write(f"A new key is in {file}; the one until now is in {file}.old, and still opens.")
        sys.stderr.write("Then start arbe again, and say `manage.py rotate_vault_key`.\n")
