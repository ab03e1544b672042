"""Every declared kind."""

from model.resources.builder import ClusterWorkflow, Workflow
from model.resources.choreo_component import ChoreoComponent
from model.resources.component import OpenChoreoComponent
from model.resources.component_release import ComponentRelease
from model.resources.declared import Declared
from model.resources.deployment_pipeline import DeploymentPipeline
from model.resources.environment import Environment
from model.resources.freeze import Freeze
from model.resources.kept import KEPT
from model.resources.plane import BuildPlane, ClusterDataPlane, ClusterWorkflowPlane, DataPlane, WorkflowPlane
from model.resources.project import Project
from model.resources.promotion_policy import PromotionPolicy
from model.resources.release_binding import ReleaseBinding
from model.resources.repository import Repository
from model.resources.secret_reference import SecretReference
from model.resources.subscription import Subscription
from model.resources.workload import OpenChoreoWorkload

DECLARED: tuple[type[Declared], ...] = (
    ChoreoComponent,
    OpenChoreoComponent,
    OpenChoreoWorkload,
    Project,
    Environment,
    DeploymentPipeline,
    ComponentRelease,
    ReleaseBinding,
    Workflow,
    ClusterWorkflow,
    DataPlane,
    ClusterDataPlane,
    WorkflowPlane,
    ClusterWorkflowPlane,
    BuildPlane,
    SecretReference,
    PromotionPolicy,
    Freeze,
    Repository,
    Subscription,
    *KEPT,
)
