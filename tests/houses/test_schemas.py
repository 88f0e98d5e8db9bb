"""Schemas of tools that nobody means: they are refused, or asked, and never break anything."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from houses.refusals import Invalid
from houses.schemas import check, checked_schema


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "Bread", "$ref": "#/title"},
        {"title": "Bread", "$ref": "#/title/0/x"},
        {"required": ["a"], "$ref": "#/required/x"},
        {"required": ["a"], "$ref": "#/required/7"},
        {"mine": {"type": "loaf"}, "$ref": "#/mine"},
        {"mine": {"$ref": 7}, "$ref": "#/mine"},
    ],
)
def test_a_reference_leads_to_a_schema(schema):
    with pytest.raises(Invalid, match=r"\$ref"):
        checked_schema(schema)


@pytest.mark.parametrize(("step", "number"), [(0.1, 10**400), (10**400, 0.5)])
def test_a_number_of_hundreds_of_digits_is_refused_where_it_cannot_be_asked_about(step, number):
    schema = checked_schema({"properties": {"a": {"multipleOf": step}}})
    with pytest.raises(Invalid, match="cannot be asked"):
        check(schema, {"a": number})


NUMBERS = st.integers(-2, 2) | st.floats() | st.sampled_from([10**400, 1e308, 5e-324])
PLAIN = st.none() | st.booleans() | NUMBERS | st.text("ab~/%", max_size=3)
KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
        "contains",
        "minContains",
        "allOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$anchor",
        "$defs",
        "multipleOf",
        "maximum",
        "minLength",
        "uniqueItems",
        "enum",
        "const",
        "unevaluatedProperties",
        "dependentSchemas",
        "dependentRequired",
        "propertyNames",
        "additionalProperties",
        "pattern",
        "format",
        "a",
    ]
)
VALUES = PLAIN | st.sampled_from(
    ["object", "integer", "#", "#a", "#/a", "#/a/0", "#/a/b", "#/$defs/a", "#/required/a", "#/properties", "#/enum/1"]
)
ODD = st.recursive(VALUES, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYWORDS, below, max_size=4))
ANYTHING = st.recursive(PLAIN, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab"), below))


@settings(max_examples=300, deadline=None)
@given(schema=st.dictionaries(KEYWORDS, ODD, max_size=4), arguments=st.dictionaries(st.sampled_from("ab"), ANYTHING))
def test_an_odd_schema_is_refused_or_asked_and_never_breaks(schema, arguments):
    for one in (lambda: checked_schema(schema), lambda: check(schema, arguments)):
        try:
            one()
        except Invalid:
            pass
