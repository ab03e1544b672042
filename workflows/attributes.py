"""The search attributes and the details by which a person finds a run in Temporal's Web UI."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

PROJECT = SearchAttributeKey.for_keyword("TowpathProject")
COMPONENT = SearchAttributeKey.for_keyword("TowpathComponent")
ENVIRONMENT = SearchAttributeKey.for_keyword("TowpathEnvironment")
STAGE = SearchAttributeKey.for_keyword("TowpathStage")
COMMIT = SearchAttributeKey.for_keyword("TowpathCommit")
REPOSITORY = SearchAttributeKey.for_keyword("TowpathRepository")
ATTRIBUTES = (PROJECT, COMPONENT, ENVIRONMENT, STAGE, COMMIT, REPOSITORY)


def attributes(
    project: str = "",
    component: str = "",
    environment: str = "",
    stage: str = "",
    commit: str = "",
    repository: str = "",
) -> TypedSearchAttributes:
    """Search attributes of a run; empty ones are left out."""
    pairs = [
        SearchAttributePair(key, value)
        for key, value in (
            (PROJECT, project),
            (COMPONENT, component),
            (ENVIRONMENT, environment),
            (STAGE, stage),
            (COMMIT, commit),
            (REPOSITORY, repository),
        )
        if value
    ]
    return TypedSearchAttributes(pairs)


def stage(text: str) -> None:
    """Show how far this run is, as its TowpathStage."""
    workflow.upsert_search_attributes([STAGE.value_set(text)])
