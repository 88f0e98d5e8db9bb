"""Short ids: twelve characters made by the database, without look-alikes."""

from typing import Any

from django.db import models
from django.db.models import Func


class GenerateShortId(Func):
    """The database function that makes a short id, as a default."""

    function = "generate_short_id"
    arity = 0
    output_field = models.TextField()


class ShortIdField(models.TextField):  # type: ignore[type-arg]  # Django's fields take no parameters at run time
    """A text primary key that the database fills."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["primary_key"] = True
        kwargs["db_default"] = GenerateShortId()
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        for given in ("primary_key", "db_default", "editable"):
            kwargs.pop(given, None)
        return name, path, args, kwargs
