"""The parts of the stack: what is built, from what, at which version."""

from __future__ import annotations

from pathlib import Path

from deploy.local import versions
from deploy.local.image import ScratchImage
from deploy.local.maven import MavenServer
from deploy.local.part import Part
from deploy.local.recipe import GoFiles, GoInstall, GoModule
from deploy.local.settings import Settings

_ARGO = "github.com/argoproj/argo-workflows/v4"
_KUBERNETES_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)

KUBERNETES = Part(
    name="kubernetes",
    version=versions.KUBERNETES,
    recipe=GoModule(
        module="kubernetes",
        packages=tuple((name, f"k8s.io/kubernetes/cmd/{name}") for name in _KUBERNETES_COMMANDS),
        # Clients misbehave with a server that calls itself v0.0.0.
        variables=tuple(
            (f"{package}.{name}", value)
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for name, value in (
                ("gitVersion", f"v{versions.KUBERNETES}"),
                ("gitMajor", versions.KUBERNETES.split(".")[0]),
                ("gitMinor", versions.KUBERNETES.split(".")[1]),
            )
        ),
    ),
    outputs=_KUBERNETES_COMMANDS,
    expected_seconds=330,
    heavy=True,
)

ETCD = Part(
    name="etcd",
    version=versions.ETCD,
    recipe=GoModule(module="etcd", packages=(("etcd", "go.etcd.io/etcd/server/v3"),)),
    outputs=("etcd",),
    expected_seconds=20,
    heavy=True,
)

ARGO = Part(
    name="argo-workflows",
    version=versions.ARGO_WORKFLOWS,
    recipe=GoModule(
        module="argo",
        packages=(
            ("argoexec", f"{_ARGO}/cmd/argoexec"),
            ("workflow-controller", f"{_ARGO}/cmd/workflow-controller"),
        ),
        variables=((f"{_ARGO}.version", f"v{versions.ARGO_WORKFLOWS}"),),
        source=_ARGO,
        copies=(
            # The full ones hold 10 MB of schema, at the price of a gigabyte in the API server.
            ("crds", "manifests/base/crds/minimal"),
            ("rbac", "manifests/namespace-install/workflow-controller-rbac"),
        ),
        restored=(
            (
                "workflow/executor/osspecific/signal_linux.go",
                "workflow/executor/osspecific/signal_darwin.go",
            ),
        ),
    ),
    outputs=("argoexec", "workflow-controller", "crds", "rbac"),
    expected_seconds=210,
    heavy=True,
)

PAUSE = Part(
    name="pause",
    version="1",
    recipe=GoModule(module="pause", packages=(("pause", "towpath.dev/local/pause"),)),
    outputs=("pause",),
    expected_seconds=2,
    heavy=True,
)

PAUSE_IMAGE = Part(
    name="pause-image",
    version="1",
    recipe=ScratchImage(
        reference="towpath.local/pause:1", part="pause", file="pause", path="/pause", entrypoint=("/pause",)
    ),
    outputs=("image.tar",),
    expected_seconds=1,
    needs=(PAUSE,),
)

EXECUTOR_IMAGE = Part(
    name="argoexec-image",
    version=versions.ARGO_WORKFLOWS,
    recipe=ScratchImage(
        reference=f"towpath.local/argoexec:v{versions.ARGO_WORKFLOWS}",
        part="argo-workflows",
        file="argoexec",
        path="/bin/argoexec",
        entrypoint=("argoexec",),
    ),
    outputs=("image.tar",),
    expected_seconds=1,
    needs=(ARGO,),
)

TEMPORAL = Part(
    name="temporal",
    version=versions.TEMPORAL,
    recipe=GoInstall(
        package="go.temporal.io/server/cmd/server",
        version=f"v{versions.TEMPORAL}",
        binary="temporal-server",
    ),
    outputs=("temporal-server",),
    expected_seconds=120,
    heavy=True,
)

TEMPORAL_UI = Part(
    name="temporal-ui",
    version=versions.TEMPORAL_UI,
    recipe=GoInstall(
        package="github.com/temporalio/ui-server/v2/cmd/server",
        version=f"v{versions.TEMPORAL_UI}",
        binary="temporal-ui",
    ),
    outputs=("temporal-ui",),
    expected_seconds=15,
    heavy=True,
)

TEMPORAL_TEST_SERVER = Part(
    name="temporal-test-server",
    version=versions.TEMPORAL_TEST_SERVER,
    recipe=MavenServer(
        project="temporal-test-server",
        main_class="io.temporal.testserver.TestServer",
        launcher="temporal-test-server",
    ),
    outputs=("temporal-test-server", "jars"),
    expected_seconds=45,
)

_CILIUM = "github.com/cilium/cilium"

# Upstream replaces k8s.io/apimachinery by a fork that the module proxy refuses; this
# build does without it, so it is not upstream's exact one.
CILIUM = Part(
    name="cilium",
    version=versions.CILIUM,
    recipe=GoModule(
        module="cilium",
        packages=(
            ("cilium-agent", f"{_CILIUM}/daemon"),
            ("cilium-operator", f"{_CILIUM}/operator"),
            ("cilium-cni", f"{_CILIUM}/plugins/cilium-cni"),
        ),
        variables=((f"{_CILIUM}/pkg/version.ciliumVersion", versions.CILIUM),),
        tags="osusergo",
        source=_CILIUM,
        # The agent compiles its programs for the kernel when it starts.
        copies=(("bpf", "bpf"),),
    ),
    outputs=("cilium-agent", "cilium-operator", "cilium-cni", "bpf"),
    expected_seconds=240,
    heavy=True,
)

COREDNS = Part(
    name="coredns",
    version=versions.COREDNS,
    recipe=GoModule(module="coredns", packages=(("coredns", "towpath.dev/local/coredns"),)),
    outputs=("coredns",),
    expected_seconds=60,
    heavy=True,
)

COREDNS_IMAGE = Part(
    name="coredns-image",
    version=versions.COREDNS,
    recipe=ScratchImage(
        reference=f"towpath.local/coredns:v{versions.COREDNS}",
        part="coredns",
        file="coredns",
        path="/coredns",
        entrypoint=("/coredns",),
        # Port 53: the pod grants this user NET_BIND_SERVICE and nothing else.
        user="0:0",
    ),
    outputs=("image.tar",),
    expected_seconds=1,
    needs=(COREDNS,),
)

_ROLLOUTS = "github.com/argoproj/argo-rollouts"
_GITEA = "code.gitea.io/gitea"

ARGO_ROLLOUTS = Part(
    name="argo-rollouts",
    version=versions.ARGO_ROLLOUTS,
    recipe=GoModule(
        module="argo-rollouts",
        packages=(("rollouts-controller", f"{_ROLLOUTS}/cmd/rollouts-controller"),),
        variables=((f"{_ROLLOUTS}/utils/version.version", f"v{versions.ARGO_ROLLOUTS}"),),
        source=_ROLLOUTS,
        copies=(("crds", "manifests/crds"),),
    ),
    outputs=("rollouts-controller", "crds"),
    expected_seconds=180,
    heavy=True,
)
"""Part of an extra: see ``extras.py``, as for all that ``PARTS`` does not name."""

GATEWAY_API = Part(
    name="gateway-api",
    version=versions.GATEWAY_API,
    recipe=GoFiles(
        module="sigs.k8s.io/gateway-api",
        version=f"v{versions.GATEWAY_API}",
        copies=(("httproutes.yaml", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"),),
    ),
    outputs=("httproutes.yaml",),
    expected_seconds=5,
)
"""Part of an extra: the definition of routes whose weights a canary sets."""

_PROMETHEUS = "github.com/prometheus/prometheus"

PROMETHEUS = Part(
    name="prometheus",
    version=versions.PROMETHEUS,
    recipe=GoModule(
        module="prometheus",
        packages=(("prometheus", f"{_PROMETHEUS}/cmd/prometheus"),),
        variables=(("github.com/prometheus/common/version.Version", versions.PROMETHEUS),),
        # Of the ways to find targets only Kubernetes' is built in; the others hold every cloud's SDK.
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    outputs=("prometheus",),
    expected_seconds=150,
    heavy=True,
)
"""Part of an extra: see ``extras.py``, as for all that ``PARTS`` does not name."""

_FLUX_SOURCE = "github.com/fluxcd/source-controller"
_FLUX_KUSTOMIZE = "github.com/fluxcd/kustomize-controller"

FLUX_SOURCE = Part(
    name="flux-source",
    version=versions.FLUX_SOURCE,
    recipe=GoModule(
        module="flux-source",
        packages=(("source-controller", _FLUX_SOURCE),),
        source=_FLUX_SOURCE,
        copies=(("crds", "config/crd/bases"), ("role.yaml", "config/rbac/role.yaml")),
    ),
    outputs=("source-controller", "crds", "role.yaml"),
    expected_seconds=150,
    heavy=True,
)

FLUX_KUSTOMIZE = Part(
    name="flux-kustomize",
    version=versions.FLUX_KUSTOMIZE,
    recipe=GoModule(
        module="flux-kustomize",
        packages=(("kustomize-controller", _FLUX_KUSTOMIZE),),
        source=_FLUX_KUSTOMIZE,
        copies=(("crds", "config/crd/bases"), ("role.yaml", "config/rbac/role.yaml")),
    ),
    outputs=("kustomize-controller", "crds", "role.yaml"),
    expected_seconds=120,
    heavy=True,
)

TOXIPROXY = Part(
    name="toxiproxy",
    version=versions.TOXIPROXY,
    recipe=GoInstall(
        package="github.com/Shopify/toxiproxy/v2/cmd/server",
        version=f"v{versions.TOXIPROXY}",
        binary="toxiproxy",
    ),
    outputs=("toxiproxy",),
    expected_seconds=40,
    heavy=True,
)
"""Part of an extra: see ``extras.py``, as for all that ``PARTS`` does not name."""

GITEA = Part(
    name="gitea",
    version=versions.GITEA,
    recipe=GoModule(
        module="gitea",
        packages=(("gitea", _GITEA),),
        variables=(("main.Version", versions.GITEA),),
        tags="sqlite,sqlite_unlock_notify",
        source=_GITEA,
        copies=(("templates", "templates"), ("options", "options"), ("public", "public")),
        # Its SQLite is C; the compiler is there for Cilium.
        compiler="clang-19",
    ),
    outputs=("gitea", "templates", "options", "public"),
    expected_seconds=180,
    heavy=True,
)
"""Part of an extra: a real Git host."""

PARTS: tuple[Part, ...] = (
    KUBERNETES,
    ETCD,
    ARGO,
    TEMPORAL,
    TEMPORAL_UI,
    TEMPORAL_TEST_SERVER,
    PAUSE,
    PAUSE_IMAGE,
    EXECUTOR_IMAGE,
    COREDNS,
    COREDNS_IMAGE,
    CILIUM,
)
"""Everything that ``up`` needs by itself, the longest way first."""

ONLY_FOR_LOCAL_CLUSTER: frozenset[Part] = frozenset({ETCD, PAUSE, PAUSE_IMAGE, COREDNS, COREDNS_IMAGE, CILIUM})
"""Not needed with ``--cluster existing``."""


def test_server_path() -> Path:
    """The launcher to give to ``WorkflowEnvironment.start_time_skipping(test_server_existing_path=…)``.

    The file exists once the part is built (``towpath local build`` or ``up``).
    """
    return TEMPORAL_TEST_SERVER.folder(Settings.from_environment()) / "temporal-test-server"
