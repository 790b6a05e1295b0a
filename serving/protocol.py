"""Request bodies with OpenAI's names and limits, and ``top_k``.

A field that OpenAI does not define is refused, as by OpenAI, so no misspelt field is ignored. A field that
OpenAI defines and this server does not support is refused, unless its value has no effect.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from include.contracts.errors import NexusError

T = TypeVar("T")
#: A list that is refused at its first wrong item. Pydantic would collect an error for each of them, and a
#: body has room for a million.
Items = Annotated[list[T], Field(fail_fast=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
#: OpenVINO divides by the temperature in f32: a smaller one counts as 0.
_LEAST_TEMPERATURE = 0.01


class BadRequest(NexusError):
    """Raised for a request that the client must change. ``param`` is the field."""

    def __init__(
        self, what: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(what)
        self.param = param
        self.code = code
        self.status = status


def _neutral(*allowed: Any) -> Any:
    """Return a type for a field that is not supported: only values without effect are accepted."""

    def check(value: Any) -> Any:
        if value is None or any(value == one and type(value) is type(one) for one in allowed):
            return None
        raise ValueError("is not supported by this server; leave it out")

    return Annotated[Any, BeforeValidator(check)]


class StreamOptions(BaseModel):
    """Options of a stream: the data that it contains besides text."""

    model_config = ConfigDict(extra="forbid")
    include_usage: StrictBool = False
    include_obfuscation: _neutral(False) = None  # type: ignore[valid-type]


class _Body(BaseModel):
    """The fields that both kinds of completion share."""

    model_config = ConfigDict(extra="forbid")
    model: StrictStr
    max_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StrictStr | Items[StrictStr] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=128)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    user: StrictStr | None = None
    logit_bias: _neutral({}) = None  # type: ignore[valid-type]
    metadata: Any = None

    @model_validator(mode="after")
    def _clashes(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options: is only allowed when stream is true")
        if not all(self.stop_strings) or len(self.stop_strings) > 4:
            raise ValueError("stop: must be at most 4 strings, and none may be empty")
        return self

    @property
    def stop_strings(self) -> list[str]:
        """``stop`` as a list."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def sampling_temperature(self) -> float:
        """The temperature: 1 by default, as at OpenAI; 0 is greedy."""
        wanted = 1.0 if self.temperature is None else self.temperature
        return wanted if wanted >= _LEAST_TEMPERATURE else 0.0

    @property
    def sampling_seed(self) -> int:
        """The given seed, or a new random one."""
        return secrets.randbits(63) if self.seed is None else self.seed % 2**64

    @property
    def include_usage(self) -> bool:
        """True if a stream ends with a chunk that holds the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


Tokens = Items[Annotated[StrictInt, Field(ge=0)]]


class CompletionBody(_Body):
    """The body of ``POST /v1/completions``; a prompt is text or tokens, one or several."""

    prompt: StrictStr | Items[StrictStr] | Tokens | Items[Tokens] = ""
    echo: StrictBool | None = None
    best_of: Annotated[StrictInt, Field(ge=1)] | None = None
    suffix: _neutral("") = None  # type: ignore[valid-type]
    logprobs: _neutral() = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _best_of(self) -> Self:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise ValueError("best_of: only the value of n is supported")
        if self.prompts == [] or any(prompt == [] for prompt in self.prompts):
            raise ValueError("prompt: must not be an empty list")
        return self

    @property
    def prompts(self) -> list[str | list[int]]:
        """Every prompt, as text or as tokens."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [self.prompt]  # type: ignore[list-item]
        return list(self.prompt)  # type: ignore[arg-type]


class TextPart(BaseModel):
    """A part of a message's content; only text is served."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: StrictStr


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | Items[TextPart]
    name: StrictStr | None = None
    refusal: _neutral() = None  # type: ignore[valid-type]

    def plain(self) -> dict[str, str]:
        """Return the message for a chat template, which calls OpenAI's ``developer`` ``system``."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatBody(_Body):
    """The body of ``POST /v1/chat/completions``."""

    messages: Annotated[Items[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    logprobs: _neutral(False) = None  # type: ignore[valid-type]
    top_logprobs: _neutral(0) = None  # type: ignore[valid-type]
    tools: _neutral([]) = None  # type: ignore[valid-type]
    tool_choice: _neutral("none", "auto") = None  # type: ignore[valid-type]
    parallel_tool_calls: _neutral(True, False) = None  # type: ignore[valid-type]
    response_format: _neutral({"type": "text"}) = None  # type: ignore[valid-type]
    modalities: _neutral(["text"]) = None  # type: ignore[valid-type]
    service_tier: _neutral("auto", "default") = None  # type: ignore[valid-type]
    store: _neutral(False) = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens: cannot be combined with max_completion_tokens")
        return self


B = TypeVar("B", bound=_Body)


def parse_body(kind: type[B], content: bytes) -> B:
    """Parse and check a body. Raises BadRequest that names the first wrong field."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise _explained(error) from None


def _explained(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    field = path[0] if path else None
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return BadRequest(f"The body is not valid JSON: {message}", code="invalid_json")
    if first["type"] == "extra_forbidden":
        name = ".".join(path)
        return BadRequest(
            f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter"
        )
    if first["type"] == "missing":
        return BadRequest(
            f"Missing required parameter: '{field}'", param=field, code="missing_required_parameter"
        )
    if field is None:  # a check of several fields names the field in its message
        field, _, message = message.partition(": ") if ": " in message else ("body", "", message)
    return BadRequest(f"Invalid '{field}': {message}", param=field, code="invalid_value")
