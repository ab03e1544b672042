"""One query check about one release, asked again and again."""

import asyncio
import time

from activities.prometheus import Prometheus
from model import promql
from model.check import QueryCheck
from model.reading import Reading, compare
from model.release import Release
from model.rollout import RolloutRequest
from model.sampling import Sample


class Querying:
    """Asks a query about the release and, where the check has a baseline, about the release before it."""

    def __init__(self, prometheus: Prometheus, request: RolloutRequest, check: QueryCheck) -> None:
        self._prometheus = prometheus
        self._request = request
        self._check = check
        self._baseline: Reading | None = None

    async def ask(self) -> Sample:
        """One sample; every problem is one that is `unreachable`."""
        reading = await self._read(self._check.query, self._request.release, None)
        if reading.value is not None and self._check.baseline is not None and self._baseline is None:
            baseline = await self._read_baseline()
            if baseline is not None and baseline.value is not None:
                # It is about a moment that is over: it stays what it is.
                self._baseline = baseline
        else:
            baseline = self._baseline
        result, said = compare(self._check, reading, baseline)
        lasting = reading.lasting or (baseline is not None and baseline.lasting)
        return Sample(at=time.time(), result=result, said=said, lasting=lasting)

    async def _read_baseline(self) -> Reading | None:
        rule, before = self._check.baseline, self._request.last_good
        if rule is None or before is None or not self._request.fence:
            return None
        # The fence is the moment (in ms) in which the lane began this deployment.
        return await self._read(rule.query or self._check.query, before, self._request.fence / 1000)

    async def _read(self, query: str, release: Release, at: float | None) -> Reading:
        target = self._request.target
        values = {
            "namespace": target.namespace,
            "project": target.component.project,
            "component": target.component.key.name,
            "environment": target.step.environment,
            "release": release.name,
            "commit": release.commit.id,
        }
        try:
            filled = promql.fill(query, values)
        except ValueError as error:
            return Reading(problem=f"the query cannot be filled in: {error}", lasting=True)
        limit = self._check.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._prometheus.ask(self._check.server, filled, at, limit)
        except TimeoutError:
            return Reading(problem=f"no answer within {limit:g} s")
