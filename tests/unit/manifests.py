"""Manifests as people write them, in all the shapes that are accepted."""

from typing import Any

import yaml

# The FAQ's hello-world, verbatim.
HELLO_WORLD = """\
apiVersion: choreo.dev/v1
kind: Component
metadata:
  name: hello-world
spec:
  type: service
  runtime: nodejs
  source:
    git:
      repository: https://github.com/your-org/hello-world
  endpoints:
    - name: web
      port: 3000
"""

TODAY = """\
apiVersion: openchoreo.dev/v1alpha1
kind: Component
metadata:
  name: greeting-service
  namespace: default
  annotations:
    openchoreo.dev/display-name: Greeting Service
    towpath.dev/health-path: /greeter/health
spec:
  owner:
    projectName: shop
  componentType:
    kind: ClusterComponentType
    name: deployment/service
  autoDeploy: true
  parameters:
    replicas: 2
    resources:
      requests: {cpu: 100m, memory: 64Mi}
      limits: {cpu: "1", memory: 512Mi}
  traits:
    - kind: ClusterTrait
      name: persistent-volume
      instanceName: data
  workflow:
    kind: ClusterWorkflow
    name: dockerfile-builder
    parameters:
      repository:
        url: https://github.com/openchoreo/sample-workloads
        appPath: /service-go-greeter
        secretRef: git-token
        revision:
          branch: develop
      docker:
        context: /service-go-greeter
        filePath: /service-go-greeter/Dockerfile
      buildArgs:
        - {name: VERSION, value: "1"}
      buildEnv:
        - {name: CGO_ENABLED, value: "0"}
"""

V08 = """\
apiVersion: openchoreo.dev/v1alpha1
kind: Component
metadata:
  name: reading-list
spec:
  owner: {projectName: shop}
  componentType: deployment/web-application
  autoDeploy: false
  workflow:
    name: google-cloud-buildpacks
    systemParameters:
      repository:
        url: git@github.com:openchoreo/sample-workloads.git
        revision: {branch: main, commit: ""}
        appPath: reading-list
    parameters:
      runtime: nodejs
"""

WORKLOAD_TODAY = """\
apiVersion: openchoreo.dev/v1alpha1
kind: Workload
metadata: {name: greeting-service-workload, namespace: default}
spec:
  owner: {projectName: shop, componentName: greeting-service}
  container:
    image: ghcr.io/openchoreo/greeter:1
    args: [--port, "9090"]
    env:
      - {key: LOG_LEVEL, value: info}
      - key: PASSWORD
        valueFrom: {secretKeyRef: {name: database, key: password}}
    files:
      - {key: app.toml, mountPath: /etc/app.toml, value: "a = 1"}
  endpoints:
    greeter-api:
      type: REST
      port: 80
      targetPort: 9090
      visibility: [external]
      basePath: /greeter
      schema: {content: "openapi: 3.0"}
  dependencies:
    endpoints:
      - component: ledger
        name: api
        envBindings: {address: LEDGER_URL, host: LEDGER_HOST}
"""

WORKLOAD_V08 = """\
apiVersion: openchoreo.dev/v1alpha1
kind: Workload
metadata: {name: reading-list, namespace: default}
spec:
  owner: {projectName: shop, componentName: reading-list}
  containers:
    main:
      image: ghcr.io/openchoreo/reading-list:1
      env:
        - {key: MODE, value: live}
  endpoints:
    web: {type: HTTP, port: 8080}
  connections:
    ledger:
      type: api
      params: {projectName: shop, componentName: ledger, endpoint: api}
      inject:
        env:
          - {name: LEDGER_URL, value: "{{ .url }}"}
"""


def loaded(text: str, **metadata: Any) -> dict[str, Any]:
    """The manifest as the API server gives it back."""
    obj: dict[str, Any] = yaml.safe_load(text)
    obj["metadata"] = {"namespace": "default", "uid": "uid", "generation": 1, **obj["metadata"], **metadata}
    return obj


def environment(name: str, production: bool = False, plane: Any = None) -> dict[str, Any]:
    """An Environment."""
    spec: dict[str, Any] = {"isProduction": production}
    if plane is not None:
        spec["dataPlaneRef"] = plane
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def pipeline(*paths: tuple[Any, list[Any]], name: str = "default") -> dict[str, Any]:
    """A DeploymentPipeline of (source, targets)."""
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "promotionPaths": [
                {"sourceEnvironmentRef": source, "targetEnvironmentRefs": targets} for source, targets in paths
            ]
        },
    }


def policy(name: str, selector: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A PromotionPolicy."""
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"selector": selector, **spec}}
