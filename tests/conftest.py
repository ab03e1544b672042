"""What holds for all tests."""

import os

from hypothesis import settings

# CI tries the same examples every time, so that what lands does not depend on luck; people's runs look further.
settings.register_profile("ci", derandomize=True)
settings.register_profile("people", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")
