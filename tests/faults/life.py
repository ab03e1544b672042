"""One repository's life at a sender that loses, doubles, delays and repeats, and at a server that dies.

What must be true afterwards is said by `keeps_its_promises`.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from temporalio.client import Client, WorkflowExecutionStatus

from model.component import Component
from model.delivery import DeliveryState
from model.failure import InfrastructureFailure
from model.key import ComponentKey
from model.push import ZERO_ID
from model.repository import normalise
from model.source import SourceLocation
from tests.faults.building import Builder
from tests.faults.ledgers import Whole
from tests.faults.repository import Repository, folders
from tests.triggers.serving import signed
from triggers.starter import Started, Starter, Stored

MAIN = "refs/heads/main"
NAMES = ("a", "b", "c")
FIRST = 1
"""The version of every folder when the repository was declared."""
LOST = 0.3
ENDED_WELL = frozenset({"Built", "NothingTouched", "AlreadyHandled", "NobodyFollows"})
GONE = frozenset({"RefNotFound", "CommitNotFound"})
"""What a push comes to whose commit was replaced by force before anybody looked."""


@dataclass
class Flaky:
    """A starter that now and then fails before it has stored, or after: nobody is told which."""

    starter: Starter
    dice: random.Random

    async def start(self, event: Stored, workflow: str) -> Started:
        fate = self.dice.random()
        if fate < 0.08:
            raise InfrastructureFailure("TemporalUnavailable", "Killed before it stored.")
        started = await self.starter.start(event, workflow)
        if fate < 0.16:
            raise InfrastructureFailure("TemporalUnavailable", "Killed after it stored.")
        return started


@dataclass
class Life:
    """What a seed brings about."""

    seed: int
    repository: Repository
    http: httpx.AsyncClient
    client: Client
    builder: Builder
    ledgers: Whole
    accepted: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, seed: int, url: str, http: httpx.AsyncClient, client: Client, builder: Builder, ledgers: Whole
    ) -> "Life":
        """The life of a seed; it is not lived yet."""
        return cls(seed, Repository(url, seed + 1), http, client, builder, ledgers)

    @property
    def components(self) -> list[Component]:
        """One a folder, all on main."""
        source = SourceLocation(url=self.repository.url)
        return [
            Component(
                key=ComponentKey(name=f"r{self.seed}-{name}"), source=source.model_copy(update={"app_path": name})
            )
            for name in NAMES
        ]

    async def live(self, sweep: Callable[[str], Awaitable[None]]) -> None:
        """Pushes with their fates, then what comes late, then a look at what was missed."""
        dice = random.Random(self.seed)
        # What is there when a repository is declared is where its memory begins.
        first = self.repository.commit(MAIN, NAMES)
        await sweep(normalise(self.repository.url))
        assert self.repository.refs[MAIN] == first
        late: list[bytes] = []
        sending: list[asyncio.Task[None]] = []
        for _ in range(dice.randint(1, 4)):
            body = self._push(dice)
            if dice.random() < 0.1:
                self.repository.away = dice.randint(1, 3)
            if dice.random() < LOST:
                self._tell("lost")
                continue
            if dice.random() < 0.3:
                self._tell("comes late")
                late.append(body)
                continue
            times = dice.choice((1, 1, 1, 2))
            sending += [asyncio.create_task(self._send(body, dice.random() < 0.7)) for _ in range(times)]
            if dice.random() < 0.5:
                await asyncio.gather(*sending)
            if dice.random() < 0.2:
                late.append(body)
        dice.shuffle(late)
        await asyncio.gather(*sending)
        for body in late:
            await self._send(body, True)
        self.repository.away = 0
        await self._all_ended()
        await sweep(normalise(self.repository.url))
        await self._all_ended()

    def _push(self, dice: random.Random) -> bytes:
        before = self.repository.refs.get(MAIN, ZERO_ID)
        older = [commit for commit in self.repository.commits if commit != before]
        forced = bool(older) and dice.random() < 0.2
        if forced:
            self.repository.refs[MAIN] = dice.choice(older)
            if dice.random() < 0.5:
                self.repository.commit(MAIN, folders(dice, NAMES))
        else:
            self.repository.commit(MAIN, folders(dice, NAMES))
        after = self.repository.refs[MAIN]
        # Many senders do not say that it was by force.
        said = forced and dice.random() < 0.5
        self._tell(f"{before[-4:]} -> {after[-4:]}{' by force' if forced else ''}{', said' if said else ''}")
        told = {"repository": {"url": self.repository.url}, "ref": MAIN, "before": before, "after": after}
        return json.dumps({**told, "forced": said}).encode()

    async def _send(self, body: bytes, persistent: bool) -> None:
        """Deliver it; a persistent sender repeats what was not accepted."""
        delivery = f"{self.seed}-{hash(body) & 0xFFFFFFFF:x}"
        headers = {
            "X-Hub-Signature-256": signed(body),
            "X-Towpath-Event": "push",
            "X-Towpath-Delivery": delivery,
        }
        while True:
            answer = await self.http.post("/webhooks/git", content=body, headers=headers)
            assert answer.status_code in (202, 503), f"{answer.status_code} {answer.text}"
            if answer.status_code == 202:
                self.accepted.add(answer.json()["workflow"])
            if answer.status_code == 202 or not persistent:
                self._tell(f"sent {json.loads(body)['after'][-4:]}: {answer.status_code}")
                return

    async def _all_ended(self) -> None:
        for workflow in sorted(self.accepted):
            await ended(self.client, workflow)

    def _tell(self, what: str) -> None:
        self.told.append(what)

    async def keeps_its_promises(self) -> None:
        """I1 and I4 of the faults for the way in, and that nothing is lost and no older head wins.

        Raises:
            AssertionError: one is broken; with the seed and what happened.
        """
        try:
            await self._keeps()
        except AssertionError as error:
            story = "; ".join(self.told)
            raise AssertionError(f"seed {self.seed}: {error} ({story})") from error

    async def _keeps(self) -> None:
        for workflow in self.accepted:
            handle = self.client.get_workflow_handle(workflow, result_type=DeliveryState)
            described = await handle.describe()
            assert described.status == WorkflowExecutionStatus.COMPLETED, (
                f"{workflow} was accepted and is not there"
            )
            if described.workflow_type == "Delivery":
                ended = await handle.result()
                assert ended.outcome in ENDED_WELL | GONE, f"{workflow} ended as {ended.outcome}: {ended.message}"
        repository = self.repository
        head = repository.refs[MAIN]
        known = (await self.ledgers.all(normalise(repository.url))).refs
        assert known[MAIN].commit == head, f"{known[MAIN].commit[-4:]} was handled last, and {head[-4:]} leads"
        built = defaultdict(list)
        for request in self.builder.built:
            if request.component.key.name.startswith(f"r{self.seed}-"):
                built[request.component.key.name.rpartition("-")[2]].append(request)
        for folder in NAMES:
            wanted = repository.version(head, folder)
            newest = max(built[folder], key=lambda request: request.sequence, default=None)
            found = repository.version(newest.commit.id, folder) if newest else FIRST
            assert found == wanted, f"{folder} is at version {wanted}, and what was built last has {found}"
            attempts = [request.workflow for request in built[folder]]
            assert len(attempts) == len(set(attempts)), f"{folder} was built twice: {attempts}"
            assert all(request.number == 1 for request in built[folder]), f"{folder} was tried again"


async def ended(client: Client, workflow: str) -> None:
    """Wait until a run has ended. Asked again and again, since the Java server now and then lets a long poll for
    its end wait in vain."""
    handle = client.get_workflow_handle(workflow)
    while (await handle.describe()).status == WorkflowExecutionStatus.RUNNING:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
