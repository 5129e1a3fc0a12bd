"""Hooks that give up events of Pythia early, where jets of partons cannot pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .._optional import import_optional

# Tells whether an event may pass, from the event or from its jets of partons (a
# `SlowJet`).
Test = Callable[[Any], bool]


# Send what C++ prints nowhere.
@contextmanager
def _silence() -> Iterator[None]:
    stdout = os.dup(1)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


# Return hooks that veto events that fail a test: of the hard process; of the anti-kT
# jets of partons when the shower has come down to a scale in GeV; of those before
# hadronisation.
def make_veto(
    radius: float,
    min_pt: float,
    *,
    late: Test,
    early: Test | None = None,
    scale: float = 0.0,
    process: Test | None = None,
) -> Any:
    pythia8 = import_optional("pythia8mc", "generate")
    jets = pythia8.SlowJet(-1, radius, min_pt)
    with _silence():  # the banner of the first clustering
        jets.analyze(pythia8.Event())

    def fails(test: Test, event: Any) -> bool:
        jets.analyze(event)
        return not test(jets)

    class Veto(pythia8.UserHooks):  # type: ignore[name-defined]
        def canVetoProcessLevel(self) -> bool:
            return process is not None

        def doVetoProcessLevel(self, event: Any) -> bool:
            return process is not None and not process(event)

        def canVetoPT(self) -> bool:
            return early is not None

        def scaleVetoPT(self) -> float:
            return scale

        def doVetoPT(self, position: int, event: Any) -> bool:
            return early is not None and fails(early, event)

        def canVetoPartonLevel(self) -> bool:
            return True

        def doVetoPartonLevel(self, event: Any) -> bool:
            return fails(late, event)

    return Veto()
