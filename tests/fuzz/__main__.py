"""Search the parsers for what breaks them, guided by coverage: `python -m tests.fuzz github --seconds 600`.

`all` takes every sender in turn. Ends with an error when something broke, and says with what input.
"""

import argparse
import json
import sys
import tempfile
from typing import Any

import atheris

with atheris.instrument_imports(include=["triggers.webhooks", "model"]):
    from tests.fuzz.exercise import exercise
    from tests.fuzz.mutation import ODD, changed, places, seeds
    from triggers.server import PROVIDERS, REGISTRIES, UNSIGNED

EDITS_LIMIT = 6
RAW_ONE_IN = 16
SLOW_SECONDS = 120


def main() -> None:
    """Run libFuzzer over the parsers of one sender, or of all."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("sender", choices=["all", *sorted({each.provider for each in seeds()})])
    parser.add_argument("--seconds", type=int, default=0, help="how long")
    parser.add_argument("--runs", type=int, default=0, help="or how many inputs")
    parser.add_argument("--seed", type=int, default=0, help="the same number tries the same inputs")
    asked = parser.parse_args()
    chosen = [each for each in seeds() if asked.sender in ("all", each.provider)]
    providers = {provider.name: provider for provider in (*PROVIDERS, *REGISTRIES, *UNSIGNED)}
    prepared = [
        (each, providers[each.provider], {name.lower(): text for name, text in each.headers.items()})
        for each in chosen
    ]
    spots = [places(each.content) for each in chosen]

    def once(data: bytes) -> None:
        given = atheris.FuzzedDataProvider(data)
        number = given.ConsumeIntInRange(0, len(prepared) - 1)
        delivery, provider, headers = prepared[number]
        if headers and given.ConsumeIntInRange(0, 7) == 0:
            headers = {**headers, _pick(given, list(headers)): _text(given)}
        if given.ConsumeIntInRange(0, RAW_ONE_IN - 1) == 0:
            exercise(provider, headers, given.ConsumeBytes(4096))
            return
        edits = []
        for _ in range(given.ConsumeIntInRange(1, EDITS_LIMIT)):
            edits.append((_pick(given, spots[number]), _value(given)))
        exercise(provider, headers, json.dumps(changed(delivery.content, edits)).encode())

    limits = [f"-max_total_time={asked.seconds}"] if asked.seconds else []
    limits += [f"-runs={asked.runs}"] if asked.runs else []
    limits += [f"-seed={asked.seed}"] if asked.seed else []
    flags = [f"-timeout={SLOW_SECONDS}", "-max_len=8192", "-len_control=0", "-print_final_stats=1"]
    # What breaks them is printed as well; the file must not lie about in the checkout.
    flags.append(f"-artifact_prefix={tempfile.gettempdir()}/")
    atheris.Setup([sys.argv[0], *limits, *flags], once)
    atheris.Fuzz()


def _pick(given: Any, choices: list[Any]) -> Any:
    return choices[given.ConsumeIntInRange(0, len(choices) - 1)]


def _value(given: Any) -> Any:
    match given.ConsumeIntInRange(0, 5):
        case 0:
            return _text(given)
        case 1:
            return given.ConsumeInt(8)
        case 2:
            return {_text(given): _pick(given, list(ODD[1:]))}
        case _:
            return _pick(given, list(ODD))


def _text(given: Any) -> str:
    text: str = given.ConsumeUnicodeNoSurrogates(given.ConsumeIntInRange(0, 300))
    return text


if __name__ == "__main__":
    main()
