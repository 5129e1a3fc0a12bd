"""Samples from a generator: in blocks, in parallel, to be resumed, streamed to disk.

A production is cut into blocks of a fixed size, each with a seed of its own, so that
its result depends neither on the number of processes nor on interruptions.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.utils import check_random_state, check_scalar
from tqdm.auto import tqdm

from .. import __version__
from .._optional import import_optional
from ..jets import Jets, read_parquet, read_parquet_metadata, write_parquet
from ..jets._files import PathLike, replacing
from ._events import Events, PythiaSource, Statistics, combine
from ._lock import hold

Count = Literal["jets", "events"]
RandomState = int | np.random.RandomState | None

_TUNES = {"Monash 2013": 14, "A14": 21}
# so many seeds has Pythia
_MAX_SEED = 900_000_000
# events without a single jet that passes, before a recipe is given up
_MAX_BARREN = 100_000


# How jets of one process are made. Recipes are sent to other processes, so that they
# must be picklable.
@dataclass(frozen=True)
class Recipe(ABC):
    name: str
    process: str
    settings: tuple[str, ...]
    cuts: Mapping[str, Any] = field(default_factory=dict)
    tune: str = "Monash 2013"
    # events that are made into jets at once, at most
    batch_size: int = 50
    # The label that tells events apart, in which `make_jets` puts the number of the
    # event within the batch; None if every jet is from an event of its own.
    event_label: ClassVar[str | None] = None

    # Return the jets that pass, in the order of events.
    @abstractmethod
    def make_jets(self, events: Events, rng: np.random.Generator) -> Jets: ...

    # Return new `UserHooks` of Pythia.
    def hook(self) -> Any:
        return None

    # Return a new source of events.
    def start(self, seed: int) -> PythiaSource:
        tune = f"Tune:pp = {_TUNES[self.tune]}"
        return PythiaSource((tune, *self.settings), self.hook(), seed)

    # Return what files tell, and what must agree for a production to continue.
    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "process": self.process,
            "tune": self.tune,
            "settings": list(self.settings),
            "cuts": dict(self.cuts),
        }

    # Number the events of jets from 0, without gaps.
    def event_of(self, jets: Jets) -> NDArray[np.int64]:
        if self.event_label is None:
            return np.arange(len(jets))
        return np.unique(jets.labels[self.event_label], return_inverse=True)[1]

    # Replace the numbers of events, if jets have them.
    def with_events(self, jets: Jets, event: NDArray[np.int64]) -> Jets:
        if self.event_label is None:
            return jets
        return jets.replace(labels={**jets.labels, self.event_label: event})


# What one process makes at once: jets, or events with jets, of one recipe.
@dataclass(frozen=True)
class _Block:
    recipe: Recipe
    size: int
    count: Count
    seed: np.random.SeedSequence

    def make(self) -> tuple[Jets, Statistics]:
        recipe, rng = self.recipe, np.random.default_rng(self.seed)
        source = recipe.start(int(rng.integers(1, _MAX_SEED, endpoint=True)))
        parts: list[Jets] = []
        n_jets = n_events = n_barren = n_found = 0
        while n_found < self.size:
            # more than are missing, for not all pass
            n_batch = min(recipe.batch_size, 2 * (self.size - n_found))
            jets = recipe.make_jets(source.next_events(n_batch), rng)
            event = recipe.event_of(jets)
            parts.append(recipe.with_events(jets, n_events + event))
            n_jets += len(jets)
            n_events += int(event.max(initial=-1)) + 1
            n_found = n_jets if self.count == "jets" else n_events
            n_barren = 0 if len(jets) else n_barren + n_batch
            if n_barren >= _MAX_BARREN:
                raise RuntimeError(
                    f"No jet of {recipe.name!r} passed in {n_barren} events; "
                    "loosen the cuts."
                )
        jets = Jets.concatenate(parts)
        number = np.arange(n_jets) if self.count == "jets" else recipe.event_of(jets)
        return jets[number < self.size], source.statistics

    # The file appears when it is complete; one that is there is not made again.
    def make_file(self, path: Path) -> None:
        if not path.exists():
            jets, statistics = self.make()
            write_parquet(path, jets, metadata=statistics._asdict())


# Rows of blocks, one of each recipe, the same for every number of processes.
class _Production:
    def __init__(
        self,
        recipes: Sequence[Recipe],
        n: int,
        count: Count,
        block_size: int,
        random_state: RandomState,
    ) -> None:
        check_scalar(n, "n", Integral, min_val=1)
        self.seed = _find_seed(random_state)
        self.n_recipes, self.block_size = len(recipes), block_size
        self.description = {
            "recipes": [recipe.describe() for recipe in recipes],
            "n": int(n),
            "count": count,
            "block_size": block_size,
            "random_state": self.seed,
            "versions": _versions(),
        }
        shares = [(n - i - 1) // len(recipes) + 1 for i in range(len(recipes))]
        self.rows = [
            [
                _Block(
                    recipe, min(block_size, share - start), count, self._seed(row, i)
                )
                for i, (recipe, share) in enumerate(zip(recipes, shares, strict=True))
                if share > start
            ]
            for row, start in enumerate(range(0, shares[0], block_size))
        ]
        self.blocks = [block for row in self.rows for block in row]

    def _seed(self, row: int, column: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=(row, column))

    # Run a task for every block; return its results in order.
    def run(self, tasks: Iterable[Any], n_jobs: int | None, verbose: int) -> list[Any]:
        results = Parallel(n_jobs=n_jobs, return_as="generator")(tasks)
        total = sum(block.size for block in self.blocks)
        done = []
        with tqdm(total=total, disable=not verbose) as bar:
            for block, result in zip(self.blocks, results, strict=True):
                done.append(result)
                bar.update(block.size)
        return done

    # Join the blocks of every row: events of the recipes take turns, in random order.
    def mix(self, jets: Iterator[Jets]) -> Iterator[Jets]:
        for row, blocks in enumerate(self.rows):
            rng = np.random.default_rng(self._seed(row, self.n_recipes))
            parts, turns = [], []
            for i, (block, part) in enumerate(zip(blocks, jets, strict=False)):
                event = block.recipe.event_of(part)
                number = self.n_recipes * (row * self.block_size + event) + i
                parts.append(block.recipe.with_events(part, number))
                turns.append(event + rng.random(len(event))[event])
            order = np.argsort(np.concatenate(turns), kind="stable")
            yield Jets.concatenate(parts)[order]

    # Return what the file tells: the arguments, and what came of them.
    def summarise(self, statistics: Sequence[Statistics]) -> dict[str, Any]:
        runs: dict[str, list[Statistics]] = {}
        for block, entry in zip(self.blocks, statistics, strict=True):
            runs.setdefault(block.recipe.name, []).append(entry)
        joined = {name: combine(entries)._asdict() for name, entries in runs.items()}
        return {"production": self.description, "statistics": joined}


# Integers stand for themselves, so that files name the seed that makes them again.
def _find_seed(random_state: RandomState) -> int:
    generator = check_random_state(random_state)
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(generator.randint(2**31 - 1))


def _versions() -> dict[str, str]:
    packages = ("pythia8mc", "fastjet", "awkward")
    for package in packages:
        import_optional(package, "generate")
    return {
        "sklearn_hepcal": __version__,
        **{package: version(package) for package in packages},
    }


# Open the folder of the blocks of a production, perhaps one that was interrupted.
def _open_folder(path: Path, description: dict[str, Any]) -> Path:
    folder = path.with_name(f"{path.name}.blocks")
    notes = folder / "production.json"
    if notes.exists():
        known = json.loads(notes.read_text(encoding="utf-8"))
        _require_same(known, description, folder)
    else:
        folder.mkdir(exist_ok=True)
        with replacing(notes) as part:
            part.write_text(json.dumps(description, indent=1), encoding="utf-8")
    return folder


def _require_same(
    known: dict[str, Any], description: dict[str, Any], path: Path
) -> None:
    differ = [name for name in description if known.get(name) != description[name]]
    if differ:
        raise ValueError(
            f"{path} is of another production, which differs in {differ}. Repeat its "
            "arguments, or remove it, or choose another path."
        )


# Make exactly n jets, or events with jets, of which the recipes have equal shares.
# Without a path the jets are returned, else the path of a parquet file. Blocks wait in
# a folder beside it until the last is made, so that a production that was interrupted
# continues; one that is complete is not repeated.
def generate(
    recipes: Sequence[Recipe],
    n: int,
    *,
    path: PathLike | None = None,
    random_state: RandomState = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    count: Count = "jets",
    block_size: int = 500,
) -> Jets | Path:
    production = _Production(recipes, n, count, block_size, random_state)
    if path is None:
        tasks = (delayed(block.make)() for block in production.blocks)
        results = production.run(tasks, n_jobs, verbose)
        return Jets.concatenate(production.mix(jets for jets, _ in results))
    import_optional("pyarrow", "generate")
    path = Path(path).expanduser()
    # as it is read back
    description = json.loads(json.dumps(production.description))
    # another process may be making the same file
    with hold(path.with_name(f"{path.name}.lock")):
        if path.exists():
            known = read_parquet_metadata(path).get("production", {})
            _require_same(known, description, path)
        else:
            _make_file(path, production, description, n_jobs, verbose)
    return path


def _make_file(
    path: Path,
    production: _Production,
    description: dict[str, Any],
    n_jobs: int | None,
    verbose: int,
) -> None:
    folder = _open_folder(path, description)
    files = [folder / f"{i:06d}.parquet" for i in range(len(production.blocks))]
    tasks = (
        delayed(block.make_file)(file)
        for block, file in zip(production.blocks, files, strict=True)
    )
    production.run(tasks, n_jobs, verbose)
    statistics = [Statistics(**read_parquet_metadata(file)) for file in files]
    write_parquet(
        path,
        production.mix(map(read_parquet, files)),
        metadata=production.summarise(statistics),
    )
    shutil.rmtree(folder)
