"""ImageSweep: one look at the images that are followed, and what nobody has announced of them is started, once."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError, is_cancelled_exception
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.images import Images, Pulls
    from model import ids, image_sweep
    from model.component import Component
    from model.failure import UserFailure
    from model.image_import import ImageQuestion, rule_of
    from model.image_push import ImagePush
    from model.image_sweep import Followed, ImageSweepRequest, ImageSweepState, SweptImage, TagsQuestion, Taken
    from workflows import metrics
    from workflows.attributes import attributes, stage
    from workflows.cause import cause_of
    from workflows.effort import perform
    from workflows.image_delivery import ImageDelivery


@workflow.defn(name="ImageSweep")
class ImageSweep:
    """Starts the imports that lost webhooks would have started."""

    @workflow.init
    def __init__(self, request: ImageSweepRequest) -> None:  # noqa: ARG002  (it asks for everything)
        self._state = ImageSweepState()

    @workflow.query
    def state(self) -> ImageSweepState:
        """How far this sweep is."""
        return self._state

    @workflow.run
    async def run(self, request: ImageSweepRequest) -> ImageSweepState:
        """One component after the other: nothing waits for it."""
        for followed in await perform(Images.followed, request):
            self._state.looked += 1
            try:
                await self._look(followed)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                # One registry that is away must not keep the others from being looked at.
                self._found(followed.component, followed.component.build.image, cause_of(error).reason)
            except UserFailure as failure:
                self._found(followed.component, followed.component.build.image, failure.reason)
        started = sum(each.reason == "Started" for each in self._state.found)
        stage("Found" if started else "NothingMissed")
        return self._state

    async def _look(self, followed: Followed) -> None:
        component = followed.component
        name, rule = rule_of(component)
        tags = image_sweep.tags_to_look_at(component, followed.taken)
        queue = ids.build_queue(component.build_plane)
        if rule.kind == "semver":
            asked = TagsQuestion(repository=name.repository, rule=component.build.tags)
            highest = await perform(Pulls.highest, asked, queue, name.repository[:80])
            tags = (highest.tag,) if highest.tag else ()
        for tag in tags:
            question = ImageQuestion(repository=name.repository, reference=tag, platform=component.build.platform)
            served = await perform(Pulls.resolve, question, queue, tag)
            await self._start(component, followed.taken, name.repository, tag, served.image.digest)

    async def _start(
        self, component: Component, taken: tuple[Taken, ...], repository: str, tag: str, digest: str
    ) -> None:
        image = f"{repository}:{tag}"
        if image_sweep.is_known(taken, repository, digest):
            self._found(component, image, "UpToDate")
            return
        push = ImagePush(
            cause="sweep",
            provider="sweep",
            repository=repository,
            tag=tag,
            digest=digest,
            sequence=int(workflow.time() * 1000),
        )
        try:
            await workflow.start_child_workflow(
                ImageDelivery.run,
                push,
                # The id that its webhook would have given it: a late one is a duplicate.
                id=ids.image(repository, digest, tag, ""),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                search_attributes=attributes(repository=repository, stage="accepted"),
                static_summary=f"Found {image}"[:200],
            )
        except WorkflowAlreadyStartedError:
            self._found(component, image, "Announced")
            return
        metrics.swept("image")
        workflow.logger.warning("missed image found: %s at %s for %s", image, digest, component.key)
        self._found(component, image, "Started")

    def _found(self, component: Component, image: str, reason: str) -> None:
        swept = SweptImage(component=str(component.key), image=image, reason=reason)
        self._state.found = [*self._state.found, swept][-image_sweep.SWEPT_LIMIT :]
        lines = [f"- `{each.image}` of `{each.component}`: **{each.reason}**" for each in self._state.found[-30:]]
        workflow.set_current_details("\n".join([f"{self._state.looked} components looked at", "", *lines]))
