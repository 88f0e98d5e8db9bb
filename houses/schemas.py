"""JSON Schemas of what tools take: checked when they are written, and asked when something is called.

A schema is a whole in itself: it refers to nothing outside, and asking it takes a bounded time. So `pattern` and
`format` are for whoever reads the schema; they are not asked, because a pattern can take hours for a short text.
"""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import UndefinedTypeCheck, UnknownType, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from houses.particulars import keepable
from houses.refusals import Invalid

DRAFT = "https://json-schema.org/draft/2020-12/schema"
CLOSED = ("$dynamicRef", "$dynamicAnchor", "$id", "$vocabulary", "patternProperties")
# What the libraries raise for schemas that nobody means: steps into a text, numbers of hundreds of digits.
ODD = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
    UnknownType,
    UndefinedTypeCheck,
)
STEPS = 5_000  # keywords that one call may lead through; references can multiply them


def checked_schema(schema: Any) -> dict[str, Any]:
    """The schema, if it is one of an object's and whole in itself. Raises `Invalid`, saying where it breaks."""
    keepable(schema, "schema")
    if schema.get("$schema", DRAFT) != DRAFT:
        raise Invalid("schema: it is read as JSON Schema of the draft 2020-12; leave `$schema` out.")
    _require_schema(schema, "schema")
    if schema.get("type", "object") != "object":
        raise Invalid("schema: a tool takes an object; `type` is `object`.")
    _require_whole(schema)
    return dict(schema)


def check(schema: dict[str, Any], arguments: Any) -> None:
    """Refuse arguments that the schema does not take, saying where. Raises `Invalid`."""
    keepable(arguments, "arguments")
    try:
        wrong = best_match(_validator(schema).iter_errors(arguments))
    except (RecursionError, _Endless) as endless:
        raise Invalid("arguments: the schema of this tool leads in circles; it has to be mended.") from endless
    except Unresolvable as nowhere:
        raise Invalid("arguments: the schema of this tool refers to what it does not have.") from nowhere
    except ODD as odd:
        raise Invalid("arguments: the schema of this tool cannot be asked about them; it has to be mended.") from odd
    if wrong is not None:
        raise Invalid(f"arguments: {_where(wrong)}: {_said(wrong)}.")


class _Endless(Exception):
    """Too many steps."""


def _validator(schema: dict[str, Any]) -> Any:
    """A validator that looks nothing up elsewhere and counts its steps."""
    left = STEPS

    def counted(keyword: Any) -> Any:
        def asked(validator: Any, value: Any, instance: Any, below: Any) -> Iterator[ValidationError]:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Endless
            yield from keyword(validator, value, instance, below) or ()

        return asked

    known = {name: counted(keyword) for name, keyword in Draft202012Validator.VALIDATORS.items()}
    known |= {"pattern": _not_asked, "format": _not_asked}
    make: Any = extend  # it has no types
    return make(Draft202012Validator, known)(schema, registry=Registry())


def _not_asked(validator: Any, value: Any, instance: Any, below: Any) -> Iterator[ValidationError]:
    return iter(())


def _require_schema(schema: Any, where: str) -> None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as wrong:
        raise Invalid(f"{where}: it breaks at {_where(wrong)}: {_said(wrong)}.") from wrong
    except ODD as wrong:
        raise Invalid(f"{where}: it is nested too deeply, or there is something odd in it.") from wrong


def _require_whole(schema: dict[str, Any]) -> None:
    looked_at = {id(schema)}  # each of them once, however many lead there
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for key, value in _pairs(schema):
        if key in CLOSED:
            raise Invalid(f"schema: `{key}` is not understood here; say it in another way.")
        if key != "$ref" or not isinstance(value, str):
            continue
        if not value.startswith("#"):
            raise Invalid("schema: `$ref` leads out of it; put what is meant under `$defs` and refer to that.")
        there = _looked_up(resolver, value)
        if id(there) not in looked_at:
            looked_at.add(id(there))
            _require_schema(there, f"schema: at `{value[:80]}`, where a `$ref` leads")


def _looked_up(resolver: Any, reference: str) -> Any:
    try:
        there = resolver.lookup(reference).contents
    except (Unresolvable, *ODD) as nowhere:
        raise Invalid(f"schema: `$ref` leads nowhere: it has no `{reference[:80]}`.") from nowhere
    if not isinstance(there, dict | bool):
        raise Invalid(f"schema: `$ref` leads to what is no schema: `{reference[:80]}`.")
    return there


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key that may be a keyword: the names of properties and definitions are none."""
    waiting = [(value, False)]
    while waiting:
        one, are_names = waiting.pop()
        if isinstance(one, dict):
            for key, below in one.items():
                if not are_names:
                    yield key, below
                waiting.append((below, not are_names and key in ("properties", "$defs", "dependentSchemas")))
        elif isinstance(one, list):
            waiting += [(below, False) for below in one]


def _where(wrong: ValidationError | SchemaError) -> str:
    return f"`{'.'.join(str(part) for part in wrong.absolute_path)[:200]}`" if wrong.absolute_path else "the top"


def _said(wrong: ValidationError | SchemaError) -> str:
    said = wrong.message.rstrip(".")
    return said if len(said) <= 200 else f"{said[:199]}…"
