"""Every place that accepts an id, read from the map of addresses, the API's own description and the pages' code."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator

from tests.tenancy.words import row_named_by

OURS = ("houses", "threads", "artifacts", "sandboxes", "streams", "arbe", "tests")
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass
class Operation:
    """One method of one address, and the places in it: of its path, of its query and of its body."""

    method: str
    path: str
    words: dict[str, str]  # of the path: each placeholder, and which row it names (or its own word)
    query: list[str] = field(default_factory=list)
    body: dict[str, Any] | None = None  # a JSON Schema, its references resolved
    form: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    def address(self, values: dict[str, str], query: dict[str, str] | None = None) -> str:
        path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], self.path)
        return f"{path}?{urlencode(query)}" if query else path


def words_in(path: str) -> dict[str, str]:
    """The placeholders of a path. One called `name` is for the name of what the segment before it says."""
    found = {}
    for before, word in re.findall(r"([\w-]*)/\{(\w+)\}", path):
        found[word] = row_named_by(word) or (row_named_by(before) if word in ("name", "id", "pk") else None) or word
    return found


# The API


def api(urlconf: str | None = None) -> list[Operation]:
    """Every operation of the API, as its own description has it."""
    schema = SchemaGenerator(urlconf=urlconf).get_schema(request=None, public=True)
    found = []
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            if method in METHODS:
                query = [p["name"] for p in told.get("parameters", []) if p["in"] == "query" and _is_text(p["schema"])]
                content = told.get("requestBody", {}).get("content", {}).get("application/json")
                body = _resolved(content["schema"], schema["components"]["schemas"]) if content else None
                found.append(Operation(method, path, words_in(path), query, body))
    return found


def _resolved(shape: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in shape:
        return _resolved(known[shape["$ref"].rpartition("/")[2]], known)
    shape = dict(shape)
    for several in ("allOf", "oneOf", "anyOf"):
        if several in shape:
            return _resolved(shape.pop(several)[0], known) | {k: v for k, v in shape.items() if k != "description"}
    if isinstance(shape.get("properties"), dict):
        shape["properties"] = {name: _resolved(below, known) for name, below in shape["properties"].items()}
    if "items" in shape:
        shape["items"] = _resolved(shape["items"], known)
    return shape


def _is_text(shape: dict[str, Any]) -> bool:
    return (
        shape.get("type") in ("string", None, "array", "object")
        and not {"enum", "$ref"} & {*shape}
        and (shape.get("format") not in ("date-time", "date", "binary", "email"))
    )


def leaves(shape: dict[str, Any] | None, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Where a body has text, and whether anything may stand there (an object without a shape)."""
    if shape is None:
        return
    if shape.get("properties"):
        for name, below in shape["properties"].items():
            if not below.get("readOnly"):
                yield from leaves(below, (*at, name))
    elif shape.get("type") == "array" and shape.get("items"):
        yield from leaves(shape["items"], (*at, "[]"))
    elif at and _is_text(shape):
        yield at, shape.get("type") in ("object", None)


# Pages


def pages(urlconf: str = "arbe.urls") -> list[Operation]:
    """Every page of ours, asked and posted to, with the names that its code takes from queries and forms."""
    found = []
    for path, view in addresses(get_resolver(urlconf).url_patterns):
        if path.startswith(("/api/", "/admin/")) or not _is_ours(view):
            continue
        asked, posted = names_taken(view)
        found += [
            Operation("get", path, words_in(path), asked),
            Operation("post", path, words_in(path), [], None, posted),
        ]
    return found


def addresses(patterns: list[Any], before: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = before + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern).removeprefix("^").removesuffix("$"))
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.callback


def _is_ours(view: Any) -> bool:
    return inspect.unwrap(view).__module__.partition(".")[0] in OURS


def names_taken(view: Any) -> tuple[list[str], list[str]]:
    """What a page, and the functions of ours that it calls, read from `request.GET` and from `request.POST`."""
    taken: dict[str, set[str]] = {"GET": set(), "POST": set()}
    seen: set[Any] = set()
    _read(inspect.unwrap(view), taken, seen)
    return sorted(taken["GET"]), sorted(taken["POST"])


def _read(code: Any, taken: dict[str, set[str]], seen: set[Any]) -> None:
    if code in seen or getattr(code, "__module__", "").partition(".")[0] not in OURS:
        return
    seen.add(code)
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    for node in ast.walk(tree):
        _take(node, taken)
        if isinstance(node, ast.Name):
            called = getattr(code, "__globals__", {}).get(node.id)
            if inspect.isfunction(called):
                _read(inspect.unwrap(called), taken, seen)
            elif inspect.isclass(called) and issubclass(called, forms.BaseForm):
                taken["POST"] |= {*called.base_fields}


def _take(node: ast.AST, taken: dict[str, set[str]]) -> None:
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Attribute(attr="GET" | "POST" as of), attr="get" | "getlist"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            taken[of].add(name)
        case ast.Subscript(value=ast.Attribute(attr="GET" | "POST" as of), slice=ast.Constant(value=str(name))):
            taken[of].add(name)
        case ast.Compare(left=ast.Constant(value=str(name)), comparators=[ast.Attribute(attr="GET" | "POST" as of)]):
            taken[of].add(name)
