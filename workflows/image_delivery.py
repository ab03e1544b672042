"""ImageDelivery: an image that was built elsewhere, from its push to a release on its way."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.images import Images, Pulls
    from activities.resources import Resources
    from model import ids, image_import
    from model.component import Component
    from model.failure import UserFailure
    from model.image_import import (
        Decision,
        ImageDeliveryState,
        ImageQuestion,
        ImportedImage,
        Known,
        KnownQuestion,
        ResolvedImage,
        Wanted,
    )
    from model.image_push import ImagePush
    from model.note import Note
    from model.release import Release
    from workflows import metrics
    from workflows.attributes import stage
    from workflows.cause import Cause, cause_of
    from workflows.effort import perform, perform_here
    from workflows.promoting import promote
    from workflows.teller import Teller

# A registry may announce what its other half does not serve yet.
LATE = (timedelta(seconds=3), timedelta(seconds=15), timedelta(seconds=60))
QUIET = frozenset({"NotAnImage", "OwnPush"})
"""What happens with every push of a well-kept registry, and concerns nobody."""


@workflow.defn(name="ImageDelivery")
class ImageDelivery:
    """Takes an image to the releases that it makes."""

    @workflow.init
    def __init__(self, push: ImagePush) -> None:
        self._state = ImageDeliveryState(push=push)
        self._teller = Teller()

    @workflow.query
    def state(self) -> ImageDeliveryState:
        """How far this delivery is."""
        return self._state

    @workflow.run
    async def run(self, push: ImagePush) -> ImageDeliveryState:
        """From the announced image to releases; every way out has an outcome with a reason."""
        try:
            components = await perform_here(Images.followers, push)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause = cause_of(error)
            return self._end(cause.reason, cause.message)
        if not components:
            return self._end("NobodyFollows", f"No component follows {push.repository}:{push.tag}.")
        stage("importing")
        self._show()
        await asyncio.gather(*(self._import(component) for component in components))
        await self._teller.finish()
        reasons = {each.reason for each in self._state.imports}
        outcome = "Imported" if "Released" in reasons else "ImportFailed"
        if reasons <= {"AlreadyReleased", "OlderImage", *QUIET}:
            outcome = "NothingNew"
        return self._end(outcome, ", ".join(f"{each.component}: {each.reason}" for each in self._state.imports))

    async def _import(self, component: Component) -> None:
        """One component's share; what goes wrong with it is told there and stops no other's."""
        push = self._state.push
        try:
            known = await self._known(component)
            asked = image_import.wanted(component, push, known)
            found = await self._resolve(component, asked)
            decision = image_import.decide(component, push, asked, found, known, workflow.info().workflow_id)
            if decision.step == "release" and decision.release is not None:
                decision = await self._release(component, decision.release)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            self._failed(component, cause_of(error))
            return
        except UserFailure as failure:
            self._failed(component, Cause(failure.reason, failure.message, "user"))
            return
        moved = bool(push.digest) and push.cause == "push" and found.image.digest != push.digest
        self._ended(component, decision, asked, found, moved)

    async def _known(self, component: Component) -> Known:
        return await perform_here(Images.known, KnownQuestion(component=component.key))

    async def _resolve(self, component: Component, asked: Wanted) -> ResolvedImage:
        question = ImageQuestion(
            repository=asked.repository, reference=asked.reference, platform=component.build.platform
        )
        queue = ids.build_queue(component.build_plane)
        for pause in LATE if self._state.push.cause == "push" else ():
            try:
                return await perform(Pulls.resolve, question, queue, asked.reference[:80])
            except FailureError as error:
                if is_cancelled_exception(error) or cause_of(error).reason != "ImageNotFound":
                    raise
            await workflow.sleep(pause)
        return await perform(Pulls.resolve, question, queue, asked.reference[:80])

    async def _release(self, component: Component, release: Release) -> Decision:
        """Keep the release, and send it on its way if it is this import that made it and none is newer."""
        await perform(Resources.record_release, release, summary=release.name)
        # Read again: of two imports at once, at least one sees the other.
        known = await self._known(component)
        kept = next((each for each in known.imported if each.name == release.name), None)
        if kept is None or not image_import.made_by(kept, release):
            return Decision(
                step="adopt", reason="AlreadyReleased", message=f"It is {release.name}.", release=kept or release
            )
        newer = image_import.lower_than(component, release, known)
        if newer is not None:
            return Decision(
                step="stop", reason="OlderImage", message=f"{newer.name} is newer than {release.name}."
            )
        if component.auto_deploy:
            await promote(release)
        return Decision(step="release", release=release)

    def _ended(
        self, component: Component, decision: Decision, asked: Wanted, found: ResolvedImage, moved: bool
    ) -> None:
        image = f"{asked.repository}:{asked.tag}" if asked.tag else found.image.reference
        message = decision.message
        if decision.step == "release" and decision.release is not None:
            message = f"{decision.release.name} from {image} ({found.image.digest[:19]})."
            if moved:
                message += f" The tag had led to {self._state.push.digest[:19]} when it was announced."
        reason = decision.reason or "Released"
        name = decision.release.name if decision.release else ""
        self._note(component, reason, message, release=name, image=found.image.reference)
        applied = self._state.push.cause == "applied"
        if (decision.step == "adopt" and not applied) or reason in QUIET:
            # For the pusher of the second tag of one image, or of a signature, nothing has happened. Who edited
            # a manifest is told that it was looked at.
            return
        made = decision.release if decision.step != "stop" else None
        self._teller.tell(
            Note(
                component=component,
                type="Normal" if made else "Warning",
                reason="ImageReleased" if decision.step == "release" else reason,
                message=message,
                stage="image: released" if decision.step == "release" else "",
                workflow=workflow.info().workflow_id,
                latest_release=made.name if made else "",
                latest_image=made.image.reference if made else "",
                of_manifest=decision.step == "adopt",
                aside=made is None,
            )
        )

    def _failed(self, component: Component, cause: Cause) -> None:
        push = self._state.push
        self._note(component, cause.reason, cause.message)
        if cause.reason in QUIET and push.cause == "push":
            return
        self._teller.tell(
            Note(
                component=component,
                type="Warning",
                reason=cause.reason,
                message=cause.message,
                stage="image: failed",
                workflow=workflow.info().workflow_id,
                ready=False if push.cause == "applied" else None,
                of_manifest=push.cause == "applied",
            )
        )

    def _note(self, component: Component, reason: str, message: str, release: str = "", image: str = "") -> None:
        self._state.imports.append(
            ImportedImage(component=component.key, reason=reason, message=message, release=release, image=image)
        )
        self._show()

    def _end(self, outcome: str, message: str) -> ImageDeliveryState:
        self._state.outcome, self._state.message = outcome, message
        stage(outcome)
        metrics.imported(outcome)
        self._show()
        return self._state

    def _show(self) -> None:
        push = self._state.push
        lines = [
            f"**{self._state.outcome}** {self._state.message}",
            "",
            f"- image `{push.repository}:{push.tag}` {f'`{push.digest[:19]}`' if push.digest else ''}",
            f"- started by {push.cause} ({push.provider or push.actor.name})",
        ]
        lines += [f"- `{each.component}`: **{each.reason}** {each.message}" for each in self._state.imports]
        workflow.set_current_details("\n".join(lines))
