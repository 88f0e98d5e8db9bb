"""What the pages of records have in common: fields, a list, and keeping what was filled in."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from houses.indoors import agent_of
from houses.models import House
from houses.particulars import object_from
from houses.refusals import Refused
from houses.rights import may
from houses.scopes import X

MONO = {"class": "mono", "spellcheck": "false", "autocomplete": "off"}
PER_PAGE = 100


class Text(forms.CharField):
    """A line that the verb looks at; Django is not asked for more than whether it is there."""

    def __init__(self, *, mono: bool = False, choices: Iterable[str] = (), example: str = "", **more: Any) -> None:
        attrs = (MONO if mono else {}) | ({"placeholder": example} if example else {})
        super().__init__(widget=forms.TextInput(attrs=attrs), **more)
        self.suggested = tuple(choices)


class Lines(forms.CharField):
    """Several lines of prose."""

    def __init__(self, *, rows: int = 3, example: str = "", **more: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": rows, "placeholder": example}), **more)


class JSONObject(forms.CharField):
    """A JSON object, as text until a verb wants it."""

    def __init__(self, *, rows: int = 5, example: str = "", **more: Any) -> None:
        attrs = MONO | {"rows": rows, "placeholder": example}
        super().__init__(widget=forms.Textarea(attrs=attrs), required=False, strip=False, **more)


class Several(forms.MultipleChoiceField):
    """Some of what there is; what is not there is the verb's to refuse."""

    def __init__(self, **more: Any) -> None:
        super().__init__(widget=forms.CheckboxSelectMultiple, required=False, **more)

    def valid_value(self, value: str) -> bool:
        return True


class RecordForm(forms.Form):
    """A record as a person fills it in."""

    objects: tuple[str, ...] = ()  # the fields that are JSON

    def given(self) -> dict[str, Any]:
        """The arguments of the record's verbs. Raises `Invalid`."""
        given = dict(self.cleaned_data)
        return given | {name: object_from(given[name], str(self.fields[name].label or name)) for name in self.objects}

    @property
    def parts(self) -> list[tuple[str, forms.BoundField]]:
        """Each field with how it is shown."""
        return [(_shape(field), field) for field in self]


def filled_in(one: Any, *, texts: Iterable[str], objects: Iterable[str] = ()) -> dict[str, Any]:
    """What a form of the record begins with."""
    said = {name: getattr(one, name) for name in texts}
    return said | {name: shown_json(getattr(one, name)) for name in objects}


def shown_json(value: dict[str, Any]) -> str:
    """An object as somebody would type it."""
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def listed(
    request: HttpRequest,
    house: House,
    rows: "QuerySet[Any]",
    tell: Callable[[Any], dict[str, Any]],
    *,
    ready: Callable[[list[Any]], list[Any]] = list,
    **more: Any,
) -> HttpResponse:
    """A page of a list of records, each as `tell` has it; `ready` sees them first, all at once."""
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "house": house,
        "here": "settings",
        "rows": [tell(one) for one in ready(list(page.object_list))],
        "next": f"?page={page.next_page_number()}" if page.has_next() else "",
        "manages": may(agent_of(request), X, house),
    }
    return render(request, "houses/records.html", context | more)


def edited(
    request: HttpRequest,
    house: House,
    form: RecordForm,
    *,
    one: Any,
    create: Callable[..., object],
    then: str,
    **more: Any,
) -> HttpResponse:
    """A record in a form: shown, or kept by its verb and back to the list; what is refused is said above the form.

    `one` is changed; where there is none yet, it is for `create` to make it.
    """
    by, status = agent_of(request), 200
    context: dict[str, Any] = {"house": house, "here": "settings", "form": form, "then": then}
    context |= {"exists": one is not None, "manages": may(by, X, house)}
    if request.method == "POST":
        try:
            if form.is_valid():
                with transaction.atomic():
                    (one.change if one else create)(by=by, **form.given())
                return redirect(then)
            status = 400
        except Refused as refused:
            context["detail"], status = refused.detail, refused.status
    if not context["manages"]:
        for field in form.fields.values():
            field.disabled = True
    return render(request, "houses/record.html", context | more, status=status)


def _shape(field: forms.BoundField) -> str:
    if isinstance(field.field, Several):
        return "checks"
    return "check" if isinstance(field.field, forms.BooleanField) else "field"
