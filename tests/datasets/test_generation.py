"""The engine, with a toy in place of Pythia whose jets are known exactly."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import chisquare, expon, kstest, norm

from sklearn_hepcal import __version__
from sklearn_hepcal.datasets import _generation
from sklearn_hepcal.datasets._events import Events, Statistics, combine
from sklearn_hepcal.datasets._generation import Recipe, generate
from sklearn_hepcal.jets import Jets, read_parquet, read_parquet_metadata, write_parquet


class ToySource:
    """Events of 0, 1 or 2 particles with an exponential energy."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.n_events = 0

    def next_events(self, n_events):
        self.n_events += n_events
        offsets = np.append(0, np.cumsum(self.rng.integers(0, 3, n_events)))
        energies = self.rng.exponential(size=offsets[-1])
        return Events(offsets, {"e": energies}, {})

    @property
    def statistics(self):
        return Statistics(2 * self.n_events, self.n_events, 3.0, 0.3)


@dataclass(frozen=True)
class Toy(Recipe):
    """Every particle above a threshold is a jet."""

    threshold: float = 0.5
    kind: int = 0
    event_label: ClassVar[str | None] = "event"

    def start(self, seed):
        return ToySource(seed)

    def make_jets(self, events, rng):
        energy = events.particles["e"]
        passes = energy > self.threshold
        n_jets = passes.sum()
        return Jets(
            features=np.column_stack([energy[passes], rng.normal(size=n_jets)]),
            feature_names=["e", "noise"],
            constituents=np.arange(2.0 * n_jets)[:, None],
            constituent_names=["place"],
            offsets=2 * np.arange(n_jets + 1),
            labels={
                "event": events.event_index[passes],
                "kind": np.full(n_jets, self.kind),
            },
        )


@dataclass(frozen=True)
class SingleToy(Toy):
    """Jets that do not know their events."""

    event_label: ClassVar[str | None] = None

    def make_jets(self, events, rng):
        jets = super().make_jets(events, rng)
        return jets.replace(labels={"kind": jets.labels["kind"]})


def toys(toy=Toy, n_recipes=3, **parameters):
    return [
        toy(f"toy {i}", "nothing", ("A:setting = 1",), {"e": 0.5}, kind=i, **parameters)
        for i in range(n_recipes)
    ]


def make(n=100, *, recipes=None, seed=5, block_size=12, **parameters):
    recipes = toys() if recipes is None else recipes
    return generate(recipes, n, random_state=seed, block_size=block_size, **parameters)


@pytest.fixture
def break_block(monkeypatch):
    """Let the start of a block fail, counted from 0; return the blocks started."""
    started = []
    start = Toy.start

    def breaking(number):
        started.clear()

        def start_or_fail(self, seed):
            started.append(seed)
            if len(started) == number + 1:
                raise RuntimeError("power cut")
            return start(self, seed)

        monkeypatch.setattr(Toy, "start", start_or_fail)
        return started

    return breaking


@pytest.mark.parametrize("toy", [Toy, SingleToy])
@pytest.mark.parametrize("n", [1, 2, 36, 37, 100])
def test_exactly_as_many_jets_as_asked_shared_by_the_recipes(toy, n):
    jets = make(n, recipes=toys(toy))
    assert len(jets) == n
    n_of_kind = np.bincount(jets.labels["kind"], minlength=3)
    np.testing.assert_array_equal(n_of_kind, [(n + 2) // 3, (n + 1) // 3, n // 3])
    assert jets.feature("e").min() > 0.5


@pytest.mark.parametrize("n", [1, 36, 37, 100])
def test_exactly_as_many_events_as_asked(n):
    jets = make(n, count="events")
    kinds, n_events = np.unique(
        np.unique([jets.labels["event"], jets.labels["kind"]], axis=1)[1],
        return_counts=True,
    )
    expected = [(n + 2) // 3, (n + 1) // 3, n // 3]
    np.testing.assert_array_equal(n_events, [e for e in expected if e])
    np.testing.assert_array_equal(kinds, [i for i, e in enumerate(expected) if e])


def test_events_stay_together_under_numbers_of_their_own():
    jets = make(2000, count="events", block_size=50)
    event = jets.labels["event"]
    first = np.flatnonzero(np.diff(event, prepend=-1))
    assert len(np.unique(event[first])) == len(first) == 2000
    # Of 0, 1 or 2 particles a share q passes: P(2) = q^2 / 3 and
    # P(1) = (q + 2 q (1 - q)) / 3, so that two are found in q / (3 - q) of the events.
    q = np.exp(-0.5)
    share = q / (3 - q)
    n_pairs = np.sum(np.bincount(event) == 2)
    assert abs(n_pairs - 2000 * share) < 4 * np.sqrt(2000 * share * (1 - share))


def test_blocks_are_independent():
    jets = make(3000, block_size=20)
    for name, cdf in (("e", expon(0.5).cdf), ("noise", norm.cdf)):
        values = jets.feature(name)
        assert len(np.unique(values)) == 3000
        assert kstest(values, cdf).pvalue > 1e-3


def test_recipes_take_turns_in_random_order():
    kind = make(3000, recipes=toys(SingleToy), block_size=100).labels["kind"]
    turns = kind.reshape(-1, 3)
    np.testing.assert_array_equal(np.sort(turns, axis=1), [[0, 1, 2]] * 1000)
    orders = np.unique(turns, axis=0, return_counts=True)[1]
    assert len(orders) == 6
    assert chisquare(orders).pvalue > 1e-3


@pytest.mark.parametrize("count", ["jets", "events"])
def test_one_recipe_keeps_its_order(count):
    jets = make(50, recipes=toys(n_recipes=1), count=count)
    assert np.all(np.diff(jets.labels["event"]) >= 0)


@pytest.mark.parametrize("block_size", [20, 50])
def test_rows_follow_one_another(block_size):
    """Constituents stay with their jets."""
    jets = make(100, block_size=block_size)
    place = jets.constituent("place").reshape(-1, 2)
    np.testing.assert_array_equal(jets.counts, 2)
    np.testing.assert_array_equal(place[:, 1], place[:, 0] + 1)


def test_equal_seeds_give_equal_jets():
    assert make(seed=1) == make(seed=1)
    assert make(seed=1) != make(seed=2)
    assert make(seed=np.random.RandomState(1)) == make(seed=np.random.RandomState(1))
    assert make(seed=None) != make(seed=None)


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_processes_do_not_change_the_jets(tmp_path):
    jets = make()
    assert make(n_jobs=2) == jets
    assert read_parquet(make(path=tmp_path / "jets.parquet", n_jobs=2)) == jets


@pytest.mark.parametrize("count", ["jets", "events"])
def test_the_file_holds_the_same_jets(tmp_path, count):
    path = make(path=tmp_path / "jets.parquet", count=count)
    assert path == tmp_path / "jets.parquet"
    assert read_parquet(path) == make(count=count)
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_tells_how_it_was_made(tmp_path):
    metadata = read_parquet_metadata(make(path=tmp_path / "jets.parquet"))
    production = metadata["production"]
    assert [recipe["name"] for recipe in production["recipes"]] == [
        "toy 0",
        "toy 1",
        "toy 2",
    ]
    assert production["recipes"][0] == {
        "name": "toy 0",
        "process": "nothing",
        "tune": "Monash 2013",
        "settings": ["A:setting = 1"],
        "cuts": {"e": 0.5},
    }
    assert production["n"] == 100
    assert production["random_state"] == 5
    assert production["versions"] == {
        "sklearn_hepcal": __version__,
        "pythia8mc": version("pythia8mc"),
        "fastjet": version("fastjet"),
        "awkward": version("awkward"),
    }
    for entry in metadata["statistics"].values():
        # a share q = exp(-1/2) of one particle an event passes, on average
        assert entry["n_events"] >= 33
        assert entry["n_tried"] == 2 * entry["n_events"]
        assert entry["cross_section_pb"] == pytest.approx(3.0)
        assert entry["cross_section_error_pb"] < 0.3


def test_a_recipe_without_a_share_is_not_in_the_statistics(tmp_path):
    metadata = read_parquet_metadata(make(2, path=tmp_path / "jets.parquet"))
    assert list(metadata["statistics"]) == ["toy 0", "toy 1"]


def test_a_drawn_seed_is_noted(tmp_path):
    path = make(path=tmp_path / "jets.parquet", seed=np.random.RandomState(3))
    seed = read_parquet_metadata(path)["production"]["random_state"]
    assert make(seed=seed) == read_parquet(path)


# Locks are of open files, so that threads stand for processes.
def test_two_at_once_make_one_file(tmp_path, break_block):
    started = break_block(number=100)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(make, path=tmp_path / "jets.parquet") for _ in range(2)]
    (path,) = {one.result() for one in made}
    assert len(started) == 9
    assert read_parquet(path) == make()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [0, 1, 5, 8])
def test_an_interrupted_production_continues(tmp_path, break_block, number):
    path = tmp_path / "jets.parquet"
    expected = make()
    break_block(number)
    with pytest.raises(RuntimeError, match="power cut"):
        make(path=path)
    assert not path.exists()
    started = break_block(number=100)
    assert read_parquet(make(path=path)) == expected
    assert len(started) == 9 - number
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_while_the_file_is_written(tmp_path, break_block, monkeypatch):
    path = tmp_path / "jets.parquet"

    def write_blocks_only(target, jets, **parameters):
        if target == path:
            next(jets)
            raise RuntimeError("power cut")
        write_parquet(target, jets, **parameters)

    with monkeypatch.context() as context:
        context.setattr(_generation, "write_parquet", write_blocks_only)
        with pytest.raises(RuntimeError, match="power cut"):
            make(path=path)
    assert not path.exists()
    expected = make()
    started = break_block(number=0)
    assert read_parquet(make(path=path)) == expected
    assert started == []


def test_a_complete_production_is_not_repeated(tmp_path, break_block):
    path = make(path=tmp_path / "jets.parquet")
    started = break_block(number=0)
    assert make(path=path) == path
    assert started == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("n", {"n": 101}),
        ("random_state", {"seed": 6}),
        ("count", {"count": "events"}),
        ("block_size", {"block_size": 13}),
        ("recipes", {"recipes": toys(n_recipes=2)}),
        ("recipes", {"recipes": [replace(toy, tune="A14") for toy in toys()]}),
        ("versions", {}),
    ],
)
@pytest.mark.parametrize("complete", [False, True])
def test_another_production_is_refused(
    tmp_path, break_block, monkeypatch, name, change, complete
):
    path = tmp_path / "jets.parquet"
    if complete:
        make(path=path)
    else:
        break_block(4)
        with pytest.raises(RuntimeError, match="power cut"):
            make(path=path)
    if name == "versions":
        monkeypatch.setattr(_generation, "__version__", "0.0.0")
    with pytest.raises(ValueError, match=rf"differs in \['{name}'\]"):
        make(path=path, **change)


def test_another_file_is_not_overwritten(tmp_path):
    path = tmp_path / "jets.parquet"
    write_parquet(path, Jets([[1.0]]))
    with pytest.raises(ValueError, match="another production"):
        make(path=path)


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        make(path=tmp_path / "nowhere" / "jets.parquet")


def test_a_recipe_without_jets_is_given_up(monkeypatch):
    monkeypatch.setattr(_generation, "_MAX_BARREN", 200)
    with pytest.raises(RuntimeError, match=r"'toy 0' passed in 2.. events"):
        make(recipes=toys(threshold=100.0))


@pytest.mark.parametrize("n", [0, -1])
def test_n_must_be_positive(n):
    with pytest.raises(ValueError, match="n == "):
        make(n)


def test_n_must_be_an_integer():
    with pytest.raises(TypeError, match="n must be an instance of"):
        make(1.5)


@pytest.mark.parametrize("package", ["pythia8mc", "fastjet", "awkward", "pyarrow"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package} is .*hepcal\[generate\]"):
        make(path=tmp_path / "jets.parquet")


def test_progress_is_shown_if_asked_for(capsys):
    make()
    assert capsys.readouterr().err == ""
    make(verbose=1)
    assert "100/100" in capsys.readouterr().err


def test_runs_are_joined_by_their_trials():
    runs = [Statistics(100, 10, 2.0, 0.3), Statistics(300, 20, 4.0, 0.1)]
    joined = combine(runs)
    assert joined[:2] == (400, 30)
    assert joined.cross_section_pb == pytest.approx(3.5)
    assert joined.cross_section_error_pb == pytest.approx(np.hypot(0.075, 0.075))
