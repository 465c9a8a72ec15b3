"""What a developer reads of the API is complete: every field and parameter has a meaning, every example is taken."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from calliope.contracts.base import Event, Request
from calliope.contracts.document.spec import AssistantSpec
from calliope.validation.expectations import Slot
from calliope_gateway.http import openapi
from calliope_gateway.http.examples import EVENT, response_example
from calliope_gateway.http.routes import Route
from calliope_gateway.http.server import ROUTES, VERSION

API = openapi.build(ROUTES, version=VERSION)
SCHEMAS: dict[str, dict[str, Any]] = API["components"]["schemas"]
FIELDS = [
    (f"{name}.{field}", schema)
    for name, whole in SCHEMAS.items()
    for field, schema in whole.get("properties", {}).items()
]
PARAMETERS = [
    (f"{operation['operationId']}.{parameter['name']}", parameter)
    for operations in API["paths"].values()
    for operation in operations.values()
    for parameter in operation["parameters"]
]
every_body = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body is not None], ids=lambda route: route.operation_id
)
every_response = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.response is not None], ids=lambda route: route.operation_id
)


def models_of(root: type[BaseModel]) -> set[type[BaseModel]]:
    """A contract and every contract in it."""
    found, left = set[type[BaseModel]](), [root]
    while left:
        model = left.pop()
        found.add(model)
        for field in model.model_fields.values():
            slot: Slot | None = Slot.of_field(field)
            while slot is not None and not hasattr(slot.annotation, "model_fields"):
                slot = slot.step("0")
            if slot is not None and slot.annotation not in found:
                left.append(slot.annotation)
    return found


def problems_with(example: Any, schema: dict[str, Any]) -> list[str]:
    """What is wrong with an example by its schema in the document."""
    whole = {**schema, "components": API["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(example)]


@pytest.mark.parametrize(("field", "schema"), FIELDS, ids=[name for name, _ in FIELDS])
def test_every_field_of_the_api_says_what_it_means(field: str, schema: dict[str, Any]) -> None:
    meaning = schema.get("description", "")
    assert len(meaning) >= 10, f"give {field} a `description=` that a developer understands who never saw the code"


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=[name for name, _ in PARAMETERS])
def test_every_parameter_says_what_it_means(name: str, parameter: dict[str, Any]) -> None:
    assert len(parameter.get("description", "")) >= 10, f"describe {name}: the query's field, or `_PATH_PARTS`"


@every_body
def test_an_example_of_a_request_is_taken_as_it_stands(route: Route) -> None:
    content = API["paths"][route.path][route.method.lower()]["requestBody"]["content"]
    (body,) = content.values()
    assert problems_with(body["example"], body["schema"]) == []
    if not route.merge_patch and route.body is not None:
        route.body.model_validate(body["example"])


@every_response
def test_an_example_of_an_answer_has_its_form(route: Route) -> None:
    assert route.response is not None
    schema = {"$ref": f"#/components/schemas/{route.response.__name__}"}
    assert problems_with(response_example(route.response), schema) == []


def test_the_example_of_a_webhook_is_an_event() -> None:
    Event.model_validate(EVENT)


def test_an_example_of_a_problem_has_its_form() -> None:
    (example,) = SCHEMAS["Problem"]["examples"]
    assert problems_with(example, SCHEMAS["Problem"]) == []


BODIES: list[type[BaseModel]] = [AssistantSpec, *(route.body for route in ROUTES if route.body is not None)]
FOUND = {model.__name__: model for root in BODIES for model in models_of(root) if issubclass(model, Request)}


@pytest.mark.parametrize("model", [FOUND[name] for name in sorted(FOUND)], ids=sorted(FOUND))
def test_numbers_and_booleans_of_a_request_are_strict(model: type[BaseModel]) -> None:
    lax = [
        name
        for name, field in model.model_fields.items()
        if (slot := Slot.of_field(field)).annotation in {int, float, bool} and not slot.bound("strict")
    ]
    assert lax == [], "take Boolean, Integer and Number of contracts/forms.py"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_every_part_of_a_path_has_an_example(route: Route) -> None:
    parameters = API["paths"][route.path][route.method.lower()]["parameters"]
    shown = {each["name"]: each.get("example") for each in parameters if each["in"] == "path"}
    assert all(shown[name] for name in re.findall(r"{(\w+)}", route.path)), "add it to `_PATH_PARTS`"
