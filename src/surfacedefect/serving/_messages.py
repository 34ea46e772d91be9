"""The protocol's two messages, described here once more.

KServe has them, but importing it takes two seconds, reads the program's arguments, and claims their names in protobuf's
one registry of a process, so that no program could use this client and Triton's side by side. Ours live in a
registry of their own. Numbers and types are those of the Open Inference Protocol.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TYPES = {"bool": 8, "int64": 3, "string": 9, "bytes": 12}
_PACKAGE = "inference"

# message: (field, number, type or message, repeated)
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "InferParameter": (
        ("bool_param", 1, "bool", False),
        ("int64_param", 2, "int64", False),
        ("string_param", 3, "string", False),
    ),
    "Entry": (("key", 1, "string", False), ("value", 2, "InferParameter", False)),
    "Tensor": (
        ("name", 1, "string", False),
        ("datatype", 2, "string", False),
        ("shape", 3, "int64", True),
        ("parameters", 4, "Entry", True),
    ),
    "Wanted": (("name", 1, "string", False),),
    "ModelInferRequest": (
        ("model_name", 1, "string", False),
        ("model_version", 2, "string", False),
        ("id", 3, "string", False),
        ("parameters", 4, "Entry", True),
        ("inputs", 5, "Tensor", True),
        ("outputs", 6, "Wanted", True),
        ("raw_input_contents", 7, "bytes", True),
    ),
    "ModelInferResponse": (
        ("model_name", 1, "string", False),
        ("model_version", 2, "string", False),
        ("id", 3, "string", False),
        ("parameters", 4, "Entry", True),
        ("outputs", 5, "Tensor", True),
        ("raw_output_contents", 6, "bytes", True),
    ),
    "ServerReadyRequest": (),
    "ServerReadyResponse": (("ready", 1, "bool", False),),
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            described = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in _TYPES:
                described.type = _TYPES[kind]
            else:
                described.type, described.type_name = 11, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_made = _classes()
InferRequestMessage: Any = _made["ModelInferRequest"]
InferResponseMessage: Any = _made["ModelInferResponse"]
ServerReadyRequest: Any = _made["ServerReadyRequest"]
ServerReadyResponse: Any = _made["ServerReadyResponse"]
