"""The body of an execution, held against the process's description before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from gis_service.processes.process import Process
from layers.errors import BadParameter, Place
from layers.text import Text

_EVENTS: Final = ("successUri", "inProgressUri", "failedUri")
_QUALIFIED: Final = frozenset({"value", "mediaType", "encoding", "schema", "format"})
Fetch = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """What is asked for: resolved inputs, which outputs, in which form, whom to tell."""

    inputs: Mapping[str, Any]
    outputs: tuple[str, ...] | None
    response: Literal["raw", "document"]
    subscriber: Mapping[str, str]


def read_execution(body: Any, process: Process, fetch: Fetch) -> Execution:
    """The request as values; ``BadParameter`` names the place of each fault.

    ``fetch`` gets an input that is named by its address.
    """
    if not isinstance(body, dict) or not isinstance(body.get("inputs", {}), dict):
        raise _bad(
            "/inputs", 'The body must be {"inputs": {...}}.', '请求内容应为 {"inputs": {...}}。'
        )
    declared = process.description["inputs"]
    inputs = {
        name: _resolved(value, f"/inputs/{name}", fetch)
        for name, value in _known(body.get("inputs", {}), declared, "/inputs", "input").items()
    }
    for name, one in declared.items():
        if one["minOccurs"] and inputs.get(name) is None:
            raise _bad(f"/inputs/{name}", f"Input '{name}' is missing.", f"缺少输入“{name}”。")
        if name in inputs:
            _check(inputs[name], one["schema"], f"/inputs/{name}", name)
    response = body.get("response", "raw")
    if response not in ("raw", "document"):
        raise _bad("/response", "response is raw or document.", "response 应为 raw 或 document。")
    return Execution(inputs, _outputs(body, process), response, _subscriber(body))


def _known(
    given: Mapping[str, Any], declared: Mapping[str, Any], at: str, what: str
) -> Mapping[str, Any]:
    for name in given:
        if name not in declared:
            names = ", ".join(declared)
            raise _bad(
                f"{at}/{name[:40]}",
                f"Unknown {what} '{name[:40]}'. Known: {names}.",
                f"未知的{'输入' if what == 'input' else '输出'}“{name[:40]}”。可用：{names}。",
            )
    return given


def _resolved(value: Any, at: str, fetch: Fetch) -> Any:
    """The value itself, from its wrapping or from its address."""
    if not isinstance(value, dict) or ("type" in value and "href" not in value):
        return value
    if "href" in value:
        if not isinstance(value["href"], str):
            raise _bad(f"{at}/href", "href must be an address.", "href 应为地址。")
        return fetch(value["href"])
    if "value" in value and set(value) <= _QUALIFIED:
        return value["value"]
    return value


def _check(value: Any, schema: Mapping[str, Any], at: str, name: str) -> None:
    # One fault is enough, and listing them all of a hostile value costs.
    error: ValidationError | None = next(Draft202012Validator(schema).iter_errors(value), None)
    if error is None:
        return
    place = at + "".join(f"/{part}" for part in error.absolute_path)
    said = error.message[:160]
    raise _bad(place, f"Input '{name}': {said}", f"输入“{name}”不符合要求：{said}")


def _outputs(body: Mapping[str, Any], process: Process) -> tuple[str, ...] | None:
    given = body.get("outputs")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise _bad("/outputs", "outputs must be an object.", "outputs 应为对象。")
    _known(given, process.description["outputs"], "/outputs", "output")
    for name, wanted in given.items():
        mode = wanted.get("transmissionMode", "value") if isinstance(wanted, dict) else "value"
        if mode not in process.description["outputTransmission"]:
            raise _bad(
                f"/outputs/{name}/transmissionMode",
                f"Outputs are given by value, not by {str(mode)[:20]}.",
                f"输出以值的形式给出，不支持 {str(mode)[:20]}。",
            )
    return tuple(given) or None


def _subscriber(body: Mapping[str, Any]) -> Mapping[str, str]:
    given = body.get("subscriber")
    if given is None:
        return {}
    if not isinstance(given, dict) or not set(given) <= set(_EVENTS):
        raise _bad(
            "/subscriber",
            f"subscriber holds {', '.join(_EVENTS)}.",
            f"subscriber 可含 {'、'.join(_EVENTS)}。",
        )
    for name, url in given.items():
        if not isinstance(url, str) or len(url) > 2000:
            raise _bad(f"/subscriber/{name}", "An address is expected.", "此处应为地址。")
    return given


def _bad(at: str, en: str, zh: str) -> BadParameter:
    return BadParameter(
        en, zh, code="bad-execution", places=(Place(at, Text(zh=zh, en=en)),)
    )  # fmt: skip
