"""Repositories: repository list, show, register, unregister, check, rotate."""

import uuid
from typing import Annotated

import typer

from model.duration import seconds
from model.failure import UserFailure
from model.key import ComponentKey
from model.registration import Registered
from triggers.commandline.application import Exit, Group, Trouble
from triggers.commandline.client import api_of
from triggers.commandline.output import Format, Output, age, columns, printable, read_key, render, show
from triggers.views import EventView, RepositoryView


def _grace(text: str) -> float:
    try:
        return seconds(text, "--grace")
    except UserFailure as failure:
        raise typer.BadParameter(failure.message) from None


Named = Annotated[ComponentKey, typer.Argument(parser=read_key, metavar="NAME", help="NAME or NAMESPACE/NAME")]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="Only this namespace.")]
Address = Annotated[
    str, typer.Option("--address", metavar="URL", help="Towpath's server as the provider reaches it.")
]
ROTATION_SECONDS = 120.0

repositories = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Repositories, and their webhooks at the providers. NAME is a Repository.",
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    repositories.command("list")(list_repositories)
    repositories.command("show")(show_repository)
    repositories.command("register")(register_webhook)
    for command in (unregister, check, rotate):
        repositories.command()(command)
    app.add_typer(repositories, name="repository")


def list_repositories(context: typer.Context, namespace: Namespace = "", output: Output = Format.TABLE) -> None:
    """List the declared Repositories.

    Example: towpath repository list
    """
    found = api_of(context).repositories(namespace)

    def table(wide: bool) -> str:
        header = ["NAMESPACE", "NAME", "PROVIDER", "URL", "REGISTERED", "SECRETS", *(["MESSAGE"] if wide else [])]
        return columns(header, [_row(view, wide) for view in found])

    show(render(found, output, table))


def show_repository(context: typer.Context, name: Named, output: Output = Format.TABLE) -> None:
    """Show one Repository, and what is known of its webhook.

    Example: towpath repository show hello-world
    """
    api = api_of(context)
    view = api.repository(name)

    def lines(_wide: bool) -> str:
        told = [f"{view.namespace}/{view.name}: {view.provider} {view.url}".rstrip()]
        told += [printable(view.problem)] if view.problem else []
        told += [
            f"  {each.type}: {each.status} ({each.reason}) {printable(each.message)}" for each in view.conditions
        ]
        last = view.last
        told.append(f"  last announced: {_said(last, api.clock())}" if last else "  nothing announced yet")
        return "\n".join(told)

    show(render(view, output, lines))


def register_webhook(
    context: typer.Context, name: Named, address: Address = "", output: Output = Format.TABLE
) -> None:
    """Make the webhook at the provider, or put the one that is there right; said twice it is still one.

    The token is the one that spec.api names, the secret the first of spec.webhook.secretRefs (it is made when it
    is missing). Neither is ever typed.

    Examples: towpath repository register hello-world
    towpath repository register hello-world --address https://towpath.example
    """
    _answer(api_of(context).webhook(name, "register", address), output)


def unregister(context: typer.Context, name: Named, address: Address = "", output: Output = Format.TABLE) -> None:
    """Take the webhook away at the provider.

    Example: towpath repository unregister hello-world
    """
    _answer(api_of(context).webhook(name, "unregister", address), output)


def check(context: typer.Context, name: Named, address: Address = "", output: Output = Format.TABLE) -> None:
    """Say what keeps deliveries from coming: exit code 1 when anything does.

    Example: towpath repository check hello-world
    """
    _answer(api_of(context).webhook(name, "check", address), output)


def rotate(
    context: typer.Context,
    name: Named,
    grace: Annotated[str, typer.Option("--grace", help="How long the old secret counts after: 24h, 0s.")] = "24h",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until the provider signs with the new one.")
    ] = True,
    address: Address = "",
    output: Output = Format.TABLE,
) -> None:
    """Replace the webhook's secret. Both count until the provider signs with the new one, and for a while after.

    Examples: towpath repository rotate hello-world; towpath repository rotate hello-world --grace 0s
    """
    api, request = api_of(context), uuid.uuid4().hex
    accepted = api.rotate(name, _grace(grace), address, request)
    if not wait:
        show(render(accepted, output, lambda _wide: printable(accepted.message)))
        return
    rotated = api.wait_for(
        lambda: api.rotation(name, request),
        lambda seen: "" if seen.phase in ("live", "done", "failed") else printable(seen.message),
        ROTATION_SECONDS,
    )
    if rotated.phase == "failed":
        raise Trouble(f"{name} keeps its secret.", printable(rotated.message))
    show(render(rotated, output, lambda _wide: printable(rotated.message)))


def _answer(found: Registered, output: Format) -> None:
    def lines(_wide: bool) -> str:
        told = [f"{found.namespace}/{found.name}: {printable(found.message)}"]
        told += [f"  {fault.reason}: {printable(fault.message)}" for fault in found.faults]
        told += [f"  webhook {found.hook} to {found.address} for {', '.join(found.events)}"] if found.hook else []
        return "\n".join(told)

    show(render(found, output, lines))
    if found.faults:
        raise typer.Exit(Exit.FAILED)


def _said(event: EventView, now: float) -> str:
    commit = f" of {event.commit[:7]}" if event.commit else ""
    return printable(f"{event.kind}{commit}, {age(event.at, now) or 'now'} ago: {event.stage or event.status}")


def _row(view: RepositoryView, wide: bool) -> list[str]:
    known = {each.type: each for each in view.conditions}

    def told(kind: str) -> str:
        condition = known.get(kind)
        return "" if condition is None else condition.status if condition.status == "True" else condition.reason

    row = [view.namespace, view.name, view.provider, view.problem or view.url]
    row += [told("WebhookRegistered"), told("SecretsReadable")]
    registered = known.get("WebhookRegistered")
    return [*row, *([registered.message if registered else ""] if wide else [])]
