"""What the documentation tells people to type and to apply works: nothing in it is only words."""

import json
import os
import re
import shlex
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import typer
import yaml
from pydantic_settings import BaseSettings

from activities.apiserver import ApiServer
from deploy.local.exports import exports
from deploy.local.settings import Settings as StackSettings
from model import declared, workload_file
from model.change_request import ChangeRequest
from model.comment import Comment
from model.push import Push
from model.registration import hook_address
from model.repository import normalise
from model.resources.declared import read
from model.resources.repository import Repository
from triggers.commandline import app
from triggers.webhooks.azure import Azure
from triggers.webhooks.bitbucket import Bitbucket
from triggers.webhooks.document import Document
from triggers.webhooks.git import Git
from triggers.webhooks.gitea import Gitea
from triggers.webhooks.github import GitHub
from triggers.webhooks.gitlab import GitLab
from triggers.webhooks.provider import Provider
from worker.commandline import main as _registered  # noqa: F401  (adds local, worker and serve)
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PROVIDERS = sorted((ROOT / "docs" / "providers").glob("*.md"))
SENDERS: dict[str, Provider] = {
    "azure-devops.md": Azure(),
    "bitbucket-cloud.md": Bitbucket(),
    "bitbucket-data-center.md": Bitbucket(),
    "gitea.md": Gitea(),
    "github.md": GitHub(),
    "gitlab.md": GitLab(),
    "plain-git.md": Git(),
}
LANGUAGES = {"sh", "yaml", "json", "mermaid", "text", ""}
LOOKS = ("get", "describe")


class Block(NamedTuple):
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks of some languages, of all pages."""
    found = []
    for page in PAGES:
        fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        text = page.read_text()
        for match in fence.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page.name, line, match[1], match[2]))
    return [block for block in found if not languages or block.language in languages]


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block as words, without comments and variables before them."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"\"?\$\((towpath [^)]*)\)\"?", r"; \1 ;", line), comments=True)
        command: list[str] = []
        for word in [*words, ";"]:
            if word != ";":
                command.append(word)
                continue
            while command and (command[0] == "eval" or re.fullmatch(r"[A-Z_]+=.*", command[0])):
                command = command[1:]
            if command:
                yield command
            command = []


SHELL = [(block, command) for block in blocks("sh", "") for command in commands(block)]
BY_PROGRAM = {
    program: [pytest.param(command, id=f"{block}") for block, command in SHELL if command[0] == program]
    for program in {command[0] for _, command in SHELL}
}


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What `eval "$(towpath local env)"` leaves."""
    told = exports(StackSettings.from_environment())
    return {**os.environ, **told, "PATH": f"{told['PATH']}{os.pathsep}{os.environ['PATH']}"}


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    server = await ApiServer.connect(str(StackSettings.from_environment().kubeconfig))
    yield server
    await server.close()


@pytest_asyncio.fixture
async def namespace(cluster: ApiServer) -> AsyncIterator[str]:
    name = f"test-docs-{uuid.uuid4().hex[:8]}"
    await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await cluster.delete("v1", "Namespace", name)


def test_every_block_says_what_it_is() -> None:
    assert {block.language for block in blocks()} <= LANGUAGES


def test_every_program_that_people_are_told_to_run_is_checked_here() -> None:
    assert set(BY_PROGRAM) <= {"towpath", "kubectl", "make", "curl", "python"}


def parse(command: list[str]) -> None:
    """Take a command line as `towpath` does, without doing it."""
    group: Any = typer.main.get_command(app)
    words = command[1:]
    context = group.make_context("towpath", list(words), resilient_parsing=True)
    while hasattr(group, "resolve_command"):
        known = group.list_commands(context)
        assert words[0] in known, f"No such command: {words[0]}"
        name, group, words = group.resolve_command(context, words)
        partial = hasattr(group, "resolve_command")
        context = group.make_context(name, list(words), parent=context, resilient_parsing=partial)


@pytest.mark.parametrize("command", BY_PROGRAM["towpath"])
def test_a_towpath_command_is_one(command: list[str]) -> None:
    parse(command)


@pytest.mark.parametrize("line", ["towpath nonsense", "towpath approve web", "towpath promote web --bogus"])
def test_a_wrong_towpath_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"No such|Missing"):
        parse(line.split())


@pytest.mark.parametrize("command", BY_PROGRAM["make"])
def test_a_make_target_exists(command: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(command[1:]) <= targets


@pytest.mark.stack
@pytest.mark.parametrize("command", BY_PROGRAM["kubectl"])
def test_a_kubectl_command_is_understood(command: list[str], environment: dict[str, str]) -> None:
    files = [word.partition("=")[2] for word in command if word.startswith("--filename=")]
    assert all((ROOT / name).exists() for name in files), files
    if command[1] not in LOOKS and not files:
        assert command[1:2] == ["apply"]
        return
    run = [*command, "--dry-run=server"] if command[1] == "apply" else command
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr


@pytest.mark.stack
@pytest.mark.parametrize(
    "block", [block for block in blocks("sh") if block.text.lstrip().startswith("curl")], ids=str
)
def test_a_curl_call_is_answered(block: Block, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"pong": True}


@pytest.mark.stack
@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
async def test_a_manifest_is_taken_by_the_api_server(block: Block, cluster: ApiServer, namespace: str) -> None:
    for obj in yaml.safe_load_all(block.text):
        if block.text.startswith(("# .github/", "# .gitlab-ci.yml")):
            continue
        if "apiVersion" not in obj:
            assert block.text.startswith("# workload.yaml"), "what is no manifest says what it is"
            assert workload_file.parse(block.text).endpoints
            continue
        obj["metadata"].setdefault("namespace", namespace)
        applied = await cluster.apply(obj, "test-docs", dry_run=True)
        pruned = [key for key in obj.get("spec", {}) if key not in applied["spec"]]
        assert not pruned, f"the API server does not know {pruned}"
        if obj["kind"] == "Component":
            made = declared.component(applied)
            assert made.source is not None or made.build.kind == "image"


def test_jobs_of_other_systems_give_what_is_taken() -> None:
    github, gitlab = (
        yaml.safe_load(block.text)
        for start in ("# .github/", "# .gitlab-ci.yml")
        for block in blocks("yaml")
        if block.text.startswith(start)
    )
    [step] = github["jobs"]["carry"]["steps"]
    folder = step["uses"].partition("@")[0].removeprefix("your-org/towpath/")
    action = yaml.safe_load((ROOT / folder / "action.yml").read_text())
    assert set(step["with"]) <= set(action["inputs"])
    assert {name for name, each in action["inputs"].items() if each.get("required")} <= set(step["with"])
    template = yaml.safe_load((ROOT / "deploy/actions/gitlab/towpath.yml").read_text())
    assert gitlab["carry"]["extends"] in template
    program = (ROOT / "deploy/actions/towpath.py").read_text()
    read = {f"TOWPATH_{name}" for name in re.findall(r'"([A-Z_]+)",', program)}
    assert set(gitlab["carry"]["variables"]) <= read


@pytest.mark.parametrize("page", PROVIDERS, ids=lambda page: page.name)
def test_what_a_providers_page_shows_is_a_push_to_the_repository_that_it_declares(page: Path) -> None:
    """With the headers that it shows, through the real parser, at the address that people are told to enter."""
    sender, mine = SENDERS.get(page.name), [block for block in blocks() if block.page == page.name]
    if sender is None:
        assert page.name == "registries.md"
        return
    (headers,) = (headers_of(block.text) for block in mine if block.language == "text")
    (body,) = (block.text.encode() for block in mine if block.language == "json")
    (event,) = sender.parse(headers, Document.read(body))
    assert isinstance(event, Push)
    assert event.ref == "refs/heads/main"
    repositories = [obj for block in mine if block.language == "yaml" for obj in yaml.safe_load_all(block.text)]
    assert repositories
    for obj in repositories:
        spec = read(Repository, obj).spec
        assert normalise(spec.url) == event.repository
        assert hook_address("https://<your server>", spec.provider).endswith(f"/webhooks/{sender.name}")
    if page.name != "plain-git.md":
        assert f"`https://<your server>/webhooks/{sender.name}`" in page.read_text()


def headers_of(text: str) -> dict[str, str]:
    """Header lines as a server has them: names in lower case."""
    lines = (line.partition(": ") for line in text.splitlines())
    return {name.lower(): told for name, _, told in lines}


@pytest.mark.parametrize("block", [block for block in blocks("json") if block.page == "webhooks.md"], ids=str)
def test_a_webhook_is_read(block: Block) -> None:
    kind = next((each for each in ("comment", "change") if f'"{each}"' in block.text), "push")
    headers = {"x-towpath-event": kind, "x-towpath-delivery": "docs"}
    (event,) = Git().parse(headers, Document.read(block.text.encode()))
    if isinstance(event, ChangeRequest):
        assert (event.branch, event.base, event.order > 0) == ("feature/idea", "main", True)
        return
    if isinstance(event, Comment):
        assert (event.change, event.body, event.actor.name) == ("12", "/retest", "ann")
        return
    assert isinstance(event, Push)
    assert event.ref == "refs/heads/main"


def test_every_setting_is_told_and_nothing_else() -> None:
    text = (ROOT / "docs" / "install.md").read_text()
    told = set(re.findall(r"`((?:TOWPATH|TEMPORAL)_[A-Z_]+)`", text.partition("\n## Settings")[2]))
    assert told == set(variables(Settings))


def variables(settings: type[BaseSettings]) -> Iterator[str]:
    """The environment variables that a settings class reads, its parts' included."""
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
            yield from variables(field.annotation)
        else:
            yield f"{settings.model_config['env_prefix']}{name}".upper()


def test_every_reason_of_an_event_is_one_that_the_engine_gives() -> None:
    table = (ROOT / "docs" / "operating.md").read_text().partition("## What Events say")[2].partition("\n## ")[0]
    first_cells = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    inside = table.rpartition("Reasons inside messages:")[2]
    reasons = re.findall(r"`([A-Z][A-Za-z]+)`", first_cells + inside)
    sources = "\n".join(
        path.read_text()
        for folder in ("model", "workflows", "activities")
        for path in (ROOT / folder).glob("**/*.py")
    )
    assert len(reasons) > 20
    assert [reason for reason in reasons if f'"{reason}"' not in sources] == []


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
