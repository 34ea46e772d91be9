"""The manifests fit Kubernetes' and KServe's schemas and the program; the Dockerfile is well-formed. None is run."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs the extra [data]")
pytest.importorskip("kubernetes", reason="comes with the extra [serve]")

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
MODELS = {
    "Deployment": "V1Deployment",
    "Service": "V1Service",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "InferenceService": "V1beta1InferenceService",
}
SIMPLE = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def model(name: str) -> Any:
    """A type of Kubernetes' or KServe's generated clients: names and types of every field."""
    for home in ("kserve", "kubernetes.client"):
        if hasattr(importlib.import_module(home), name):
            return getattr(importlib.import_module(home), name)
    raise AssertionError(f"there is no type {name}")


def check(value: Any, kind: str, where: str) -> None:
    """Hold a value against a type of the schema: unknown fields, wrong types and missing fields fail."""
    if found := re.fullmatch(r"[lL]ist\[(.+)\]", kind):
        assert isinstance(value, list), where
        for number, item in enumerate(value):
            check(item, found[1], f"{where}[{number}]")
    elif found := re.fullmatch(r"(?:dict\(|Dict\[)(.+?), (.+)[\])]", kind):
        assert isinstance(value, dict), where
        for name, item in value.items():
            check(item, found[2], f"{where}.{name}")
    elif kind in SIMPLE:
        assert isinstance(value, SIMPLE[kind]) and not (kind != "bool" and isinstance(value, bool)), (where, value)
    elif kind in ("object", "IntOrString", "ResourceQuantity"):
        assert isinstance(value, str | int | float), (where, value)
    else:
        described = model(kind)
        names = {described.attribute_map[own]: own for own in described.openapi_types}
        assert isinstance(value, dict) and set(value) <= set(names), (where, set(value) - set(names))
        for name, item in value.items():
            check(item, described.openapi_types[names[name]], f"{where}.{name}")
        simple = {names[name]: item for name, item in value.items()}
        described(**simple)  # refuses what lacks a required field


def documents() -> list[Any]:
    return [
        pytest.param(document, id=f"{path.stem}-{document['kind']}")
        for path in sorted(DEPLOY.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("document", documents())
def test_a_manifest_fits_the_schema(document):
    check(document, MODELS[document["kind"]], document["kind"])


def pod(document: dict[str, Any]) -> dict[str, Any]:
    spec = document["spec"]
    found: dict[str, Any] = spec["predictor"] if document["kind"] == "InferenceService" else spec["template"]["spec"]
    return found


PODS = [one for one in documents() if one.values[0]["kind"] in ("Deployment", "InferenceService")]


@pytest.mark.parametrize("change", ["unknown", "type", "missing"])
def test_the_schema_is_strict(change):
    document = yaml.safe_load((DEPLOY / "inferenceservice.yaml").read_text(encoding="utf-8"))
    container = document["spec"]["predictor"]["containers"][0]
    if change == "unknown":
        container["argz"] = []
    elif change == "type":
        container["ports"][0]["containerPort"] = "8080"
    else:
        del container["name"]
    with pytest.raises((AssertionError, ValueError)):
        check(document, "V1beta1InferenceService", "InferenceService")


@pytest.mark.parametrize("document", PODS)
def test_a_pod_runs_the_program_as_it_is(document, monkeypatch):
    """Its arguments are ones that the command takes, and its probes and ports are the server's."""
    from typer.testing import CliRunner

    from surfacedefect.cli import app

    calls = []
    monkeypatch.setattr("surfacedefect.serving.serve", lambda model, **given: calls.append(given), raising=False)
    monkeypatch.setattr("surfacedefect.serving._logs.configure", lambda: None)
    monkeypatch.setattr(importlib.import_module("surfacedefect.cli.serve"), "_token", lambda file: "t" * 32)
    spec = pod(document)
    (container,) = spec["containers"]
    assert CliRunner().invoke(app, ["serve", *container["args"]]).exit_code == 0
    options = calls[0]["options"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": options.http_port, "grpc": options.grpc_port} and not options.insecure
    assert spec["terminationGracePeriodSeconds"] > options.grace_seconds + options.drain_seconds
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/v2/health/ready", "/v2/health/live")


@pytest.mark.parametrize("document", PODS)
def test_a_pod_may_do_little(document):
    spec = pod(document)
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
    own = container["securityContext"]
    assert (
        own["readOnlyRootFilesystem"]
        and not own["allowPrivilegeEscalation"]
        and own["capabilities"] == {"drop": ["ALL"]}
    )
    assert ":latest" not in container["image"] and "memory" in container["resources"]["limits"]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines put together."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(None, 1)[0], " ".join(line.split(None, 1)[1].split())) for line in joined]


def test_the_dockerfile_is_well_formed():
    known = {"ARG", "FROM", "RUN", "COPY", "WORKDIR", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    found = instructions()
    assert {name for name, _ in found} <= known
    stages = [value.partition(" AS ")[2] for name, value in found if name == "FROM"]
    assert stages == ["base-cpu", "base-gpu", "builder", "server"]
    for name, value in found:
        if name == "FROM":
            assert "latest" not in value and (":" in value or "${VARIANT}" in value)
        if name == "COPY":
            *sources, _ = shlex.split(value)
            for source in sources:
                if source.startswith("--from="):
                    assert source.removeprefix("--from=") in stages
                    break
                assert (DEPLOY.parents[1] / source).exists(), source
    assert found[0] == ("ARG", "VARIANT=cpu")


def test_the_image_runs_as_nobody_and_on_loopback():
    found = instructions()
    last = [index for index, (name, _) in enumerate(found) if name == "FROM"][-1]
    final = dict(found[last:])
    assert int(final["USER"].partition(":")[0]) > 1000
    assert "127.0.0.1" in final["CMD"] and '"serve"' in final["ENTRYPOINT"]
    assert not [value for _, value in found if "TOKEN=" in value]


def test_each_variant_is_an_extra():
    import tomllib

    project = tomllib.loads((DEPLOY.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"cpu", "gpu", "serve"} <= set(project["project"]["optional-dependencies"])
