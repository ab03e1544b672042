"""The pinned versions of everything that the local stack builds, in one place.

A version that a tools module under ``parts/`` names too must be changed there
as well (``go get module@version && go mod tidy``); a unit test compares them.
"""

from typing import Final

KUBERNETES: Final = "1.34.4"
ETCD: Final = "3.6.5"
ARGO_WORKFLOWS: Final = "4.0.7"
TEMPORAL: Final = "1.32.1"
TEMPORAL_UI: Final = "2.54.1"
TEMPORAL_TEST_SERVER: Final = "1.32.1"
COREDNS: Final = "1.12.4"
CILIUM: Final = "1.18.6"
ARGO_ROLLOUTS: Final = "1.9.0"
GATEWAY_API: Final = "1.4.0"
PROMETHEUS: Final = "0.315.0"  # the module's number of 3.15.0
FLUX_SOURCE: Final = "1.8.0"
FLUX_KUSTOMIZE: Final = "1.7.3"
TOXIPROXY: Final = "2.12.0"
GITEA: Final = "1.26.0"  # newer ones name modules that the proxy does not serve
