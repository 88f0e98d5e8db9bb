"""Which role does what: migrations run as the owner, everything else as the app role."""

from typing import Any


class OwnerMigrates:
    """Only the owner's connection changes the schema."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "owner"
