"""The source's `workload.yaml`: what it changes, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import workload_file
from model.failure import UserFailure
from model.workload import Dependency, Endpoint, File, Variable, Workload

WHOLE = """\
apiVersion: openchoreo.dev/v1alpha1
metadata:
  name: greeter
endpoints:
  - name: api
    port: 80
    targetPort: 9090
    type: HTTP
    visibility: [external]
    schemaFile: openapi.yaml
configurations:
  env:
    - {name: RETRIES, value: 3}
    - {name: DEBUG, value: true}
    - name: PASSWORD
      valueFrom: {secretKeyRef: {name: db, key: password}}
  files:
    - {name: a, mountPath: /etc/a, value: text}
dependencies:
  endpoints:
    - {component: ledger, name: api, envBindings: {address: LEDGER}}
"""


def test_a_whole_file_is_read_as_it_was_written() -> None:
    found = workload_file.parse(WHOLE)
    assert found.endpoints == (Endpoint(name="api", port=80, target_port=9090, visibility=("external",)),)
    assert found.variables == (
        Variable(name="RETRIES", value="3"),
        Variable(name="DEBUG", value="true"),
        Variable(name="PASSWORD", secret="db", key="password"),
    )
    assert found.files == (File(path="/etc/a", value="text"),)
    assert found.dependencies == (Dependency(component="ledger", endpoint="api", address_variable="LEDGER"),)


def test_the_file_wins_over_the_manifest_and_leaves_the_rest() -> None:
    declared = Workload(
        replicas=3,
        endpoints=(Endpoint(name="old", port=1),),
        variables=(Variable(name="DEBUG", value="no"), Variable(name="KEPT", value="yes")),
    )
    merged = workload_file.merge(declared, workload_file.parse(WHOLE))
    assert merged.replicas == 3
    assert [one.name for one in merged.endpoints] == ["api"]
    assert {one.name: one.value for one in merged.variables} == {
        "DEBUG": "true",
        "KEPT": "yes",
        "RETRIES": "3",
        "PASSWORD": "",
    }
    assert workload_file.merge(declared, None) == declared


def test_an_empty_file_changes_nothing() -> None:
    declared = Workload(endpoints=(Endpoint(name="old", port=1),))
    for text in ("", "# nothing\n", "endpoints:\nconfigurations:\n"):
        assert workload_file.merge(declared, workload_file.parse(text)) == declared


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("endpoints: [{name: a, port: 0}]", "endpoints.0.port"),
        ("endpoints: [{name: a, port: 1}, {name: a, port: 2}]", "endpoints.a"),
        ("endpoints: [{name: a, port: 1}, {name: b, port: 1}]", "endpoints.b.port"),
        ("endpoints: 5", "endpoints"),
        ("configurations: {env: [{value: x}]}", "configurations.env.0"),
        (
            "configurations: {files: [{name: a, mountPath: /a, valueFrom: {path: a.txt}}]}",
            "configurations.files.0.valueFrom.path",
        ),
        ("a: &x [1]\nb: *x", "anchors"),
        ("[" * 50, "nested"),
        ("a: b: c", "not YAML at line 1"),
        ("x" * (64 * 1024 + 1), "64 KiB"),
        ("- a", "workload.yaml"),
        ("a\x00b", "not YAML"),
    ],
)
def test_bad_files_are_refused_by_field(text: str, named: str) -> None:
    with pytest.raises(UserFailure) as caught:
        workload_file.parse(text)
    assert caught.value.reason == "BadWorkloadFile"
    assert named in caught.value.message


@given(st.text(max_size=200) | st.text(alphabet="abe:-[]{} \n&*!|>'\"?%@", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(workload_file.parse(text), Workload)
    except UserFailure as failure:
        assert failure.reason == "BadWorkloadFile"  # noqa: PT017  (either outcome is right)
