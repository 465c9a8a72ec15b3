"""The tools that an assistant offers its model, made from its document. Pure."""

from calliope.contracts.document.tools import CustomTool, ToolsSettings
from calliope_call_worker.providers.llm.base import ToolSpec

END_CALL = "end_call"
TRANSFER_CALL = "transfer_call"


def offered(tools: ToolsSettings) -> tuple[ToolSpec, ...]:
    """Built-in tools that are enabled, then the custom ones."""
    specs = []
    if tools.end_call.enabled:
        specs.append(ToolSpec(END_CALL, _described("End the call.", tools.end_call.scenarios), _object({})))
    if tools.transfer_call.enabled:
        numbers = {"type": "string", "enum": list(tools.transfer_call.transfer_numbers)}
        specs.append(
            ToolSpec(
                TRANSFER_CALL,
                _described("Connect the caller to a person.", tools.transfer_call.scenarios),
                _object({"destination": numbers}),
            )
        )
    specs.extend(ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in tools.custom_tools)
    return tuple(specs)


def custom_tool(tools: ToolsSettings, name: str) -> CustomTool | None:
    """The custom tool of that name."""
    return next((tool for tool in tools.custom_tools if tool.name == name), None)


def _described(purpose: str, scenarios: tuple[str, ...]) -> str:
    return f"{purpose} Use it when: {'; '.join(scenarios)}." if scenarios else purpose


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
