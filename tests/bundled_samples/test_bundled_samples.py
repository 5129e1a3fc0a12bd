"""Bundled files are what the writing half makes of what the reading half returns."""

import json
from importlib import resources

import bundled_dijets
import bundled_flavour_jets
import bundled_flavour_scores
import bundled_quark_gluon
import numpy as np
import pytest
from bundle_columns import Grid, by_rank, log_drop, pack

from sklearn_hepcal.datasets import (
    load_dijets,
    load_flavour_jets,
    load_flavour_scores,
    load_quark_gluon_jets,
)
from sklearn_hepcal.datasets._packing import unpack, unpack_ranks
from sklearn_hepcal.jets import Jets

DATA = resources.files("sklearn_hepcal.datasets") / "data"
MAX_SIZE = 2e6


def repack_scores():
    scores = load_flavour_scores()
    sides = {}
    for domain, side in enumerate(("sim", "data")):
        rows = scores.target == domain
        data = scores.data[rows]
        sides[side] = (data[:, :3], data[:, 3], data[:, 4], scores.flavour[rows])
    return bundled_flavour_scores.pack_scores(sides)


REPACK = {
    "dijets": lambda: bundled_dijets.pack_samples(
        [load_dijets(side=side).data for side in ("sim", "data")]
    ),
    "flavour_jets": lambda: bundled_flavour_jets.pack_samples(
        [load_flavour_jets().data]
    ),
    "flavour_scores": repack_scores,
    "quark_gluon": lambda: bundled_quark_gluon.pack_samples(
        [load_quark_gluon_jets().data]
    ),
}


@pytest.mark.parametrize("name", REPACK)
def test_writing_what_was_read_gives_the_file(name):
    made = REPACK[name]()
    with np.load(DATA / f"{name}.npz") as bundled:
        assert set(made) == set(bundled) - {"production"}
        for key, values in made.items():
            np.testing.assert_array_equal(values, bundled[key], err_msg=key)


@pytest.mark.parametrize("name", REPACK)
def test_file_is_small_and_tells_its_making(name):
    path = DATA / f"{name}.npz"
    assert path.stat().st_size < MAX_SIZE
    with np.load(path) as bundled:
        productions = json.loads(str(bundled["production"]))
    for production in productions:
        (*_, recipe) = production["production"]["recipes"]
        assert recipe["process"].startswith(("p p", "q q"))
        assert recipe["tune"] in ("Monash 2013", "A14")
        assert recipe["cuts"]["algorithm"] == "anti-kT"
        assert production["production"]["versions"]["pythia8mc"].startswith("8.3")


def test_numbers_are_kept_within_half_a_step():
    rng = np.random.default_rng(0)
    grids = {
        "few": Grid(1),
        "fine": Grid(0.001),
        "signed": Grid(0.5, between=True),
        "constant": Grid(0.25),
    }
    samples = {
        prefix: {
            "few": rng.integers(-3, 200, n),
            "fine": rng.normal(scale=100, size=n),
            "signed": rng.normal(size=n),
            "constant": np.full(n, 1.5),
        }
        for prefix, n in (("a_", 1000), ("b_", 10))
    }
    arrays = pack(grids, samples)
    for prefix, columns in samples.items():
        values = unpack(arrays, prefix)
        np.testing.assert_array_equal(values["few"], columns["few"])
        np.testing.assert_array_equal(values["constant"], 1.5)
        assert np.abs(values["fine"] - columns["fine"]).max() < 0.000501
        assert np.abs(values["signed"] - columns["signed"]).max() <= 0.25
        np.testing.assert_array_equal(
            np.sign(values["signed"]), np.sign(columns["signed"])
        )
    assert arrays["a_few"].shape == (1, 1000)
    assert arrays["a_fine"].shape == (3, 1000)
    assert arrays["b_fine"].dtype == np.uint8


def test_ranks_and_falling_momenta_come_back():
    counts = np.array([3, 0, 1, 2])
    pt = np.array([9.0, 4.0, 2.5, 7.0, 8.0, 1.0])
    jets = Jets(
        features=np.zeros((4, 0)),
        constituents=pt[:, None],
        offsets=np.append(0, np.cumsum(counts)),
        constituent_names=["pt"],
    )
    filled = np.arange(3) < counts[:, None]
    np.testing.assert_array_equal(by_rank(jets, pt), [9, 7, 8, 4, 1, 2.5])
    drop = log_drop(jets, np.log([16.0, 1.0, 7.0, 9.0]), 0.01)
    total = np.cumsum(unpack_ranks(by_rank(jets, drop), filled), axis=1)
    again = (np.log([[16.0], [1.0], [7.0], [9.0]]) - total)[filled]
    assert np.abs(again - np.log(pt)).max() <= 0.005 + 1e-12
