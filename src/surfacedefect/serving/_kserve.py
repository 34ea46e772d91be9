"""KServe's Python SDK, imported in one place: its module reads the program's own arguments when it is imported."""

from __future__ import annotations

import sys
import threading

from surfacedefect.errors import require

_importing = threading.Lock()

with _importing:
    _arguments = sys.argv
    sys.argv = sys.argv[:1]
    try:
        kserve = require("kserve", extra="serve")
    finally:
        sys.argv = _arguments

# After the guarded import, as each of these begins with it.
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelRepository  # noqa: E402
from kserve.errors import InvalidInput, ModelNotFound  # noqa: E402
from kserve.protocol.dataplane import DataPlane  # noqa: E402
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages  # noqa: E402
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server  # noqa: E402
from kserve.protocol.grpc.servicer import InferenceServicer  # noqa: E402
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402
from kserve.protocol.model_repository_extension import ModelRepositoryExtension  # noqa: E402

__all__ = [
    "DataPlane",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceServicer",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelRepository",
    "ModelRepositoryExtension",
    "RequestedOutput",
    "add_GRPCInferenceServiceServicer_to_server",
    "messages",
]
