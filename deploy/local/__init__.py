"""The local stack: every real part that Towpath needs, on one Debian 12 machine, without Docker.

``part`` says what is built and ``build`` builds it; ``service`` says what runs
and ``supervisor`` runs it; ``stack`` puts both in order; ``commandline`` is
``towpath local``.
"""
