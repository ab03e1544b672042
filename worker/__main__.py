"""`python -m worker` is `towpath`."""

from worker.commandline import main

main()
