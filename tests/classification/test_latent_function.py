import math

import numpy as np
import pytest
from small_fits import QUICK

from sklearn_hepcal._log_angularity import fit_log_angularity
from sklearn_hepcal.classification import MomentEFNClassifier
from sklearn_hepcal.jets import relative_constituents


@pytest.mark.parametrize("weighting", ["energy", "count"])
@pytest.mark.parametrize("moments", ["central", "raw"])
def test_transform_gives_the_moments_of_the_latent_function(
    tagged_jets, weighting, moments
):
    jets, _ = tagged_jets
    classifier = MomentEFNClassifier(
        2, 2, moments=moments, weighting=weighting, **QUICK
    ).fit(*tagged_jets)
    jet = jets[:1]
    relative = relative_constituents(jet)
    points = np.stack([relative.dy, relative.dphi], axis=1)
    z = relative.fraction
    if weighting == "count":
        points = np.column_stack([z, points, jet.constituents[:, 3:]])
        z = np.full(len(z), 1 / len(z))
    phi = classifier.latent_function(points)
    mean = z @ phi
    a, b = (phi - mean if moments == "central" else phi).T
    expected = [*mean, z @ a**2, z @ (a * b), z @ b**2]
    if weighting == "count":
        expected = [len(z), *expected]
    np.testing.assert_allclose(classifier.transform(jet)[0], expected, 1e-12, 1e-14)
    names = ["phi0", "phi1", "phi0 phi0", "phi0 phi1", "phi1 phi1"]
    if weighting == "count":
        names = ["count", *names]
    assert list(classifier.get_feature_names_out()) == names


@pytest.mark.parametrize(("order", "latent_dim"), [(1, 5), (2, 3), (3, 2), (4, 1)])
def test_effective_latent_dimension(tagged_jets, order, latent_dim):
    classifier = MomentEFNClassifier(order, latent_dim, **QUICK).fit(*tagged_jets)
    effective = math.factorial(latent_dim + order) // (
        math.factorial(latent_dim) * math.factorial(order)
    )
    assert classifier.effective_latent_dim_ == effective
    assert classifier.transform(tagged_jets[0][:5]).shape == (5, effective - 1)


@pytest.mark.parametrize("weighting", ["energy", "count"])
def test_latent_function_checks_its_points(tagged_jets, weighting):
    classifier = MomentEFNClassifier(2, 2, weighting=weighting, **QUICK).fit(
        *tagged_jets
    )
    n_columns = 2 if weighting == "energy" else 4
    assert classifier.latent_function(np.zeros((5, n_columns))).shape == (5, 2)
    with pytest.raises(ValueError, match=f"must have {n_columns} columns, got 3"):
        classifier.latent_function(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="NaN"):
        classifier.latent_function(np.full((5, n_columns), np.nan))


@pytest.mark.parametrize("coordinates", ["log", "linear"])
def test_latent_function_is_continuous_at_the_axis(tagged_jets, coordinates):
    classifier = MomentEFNClassifier(2, 2, coordinates=coordinates, **QUICK)
    classifier.fit(*tagged_jets)
    near = np.geomspace(1e-14, 1e-9, 60)
    angle = np.linspace(0, 6, 60)
    points = np.stack([near * np.cos(angle), near * np.sin(angle)], axis=1)
    at_axis = classifier.latent_function(np.zeros((1, 2)))
    np.testing.assert_allclose(
        classifier.latent_function(points), at_axis.repeat(60, 0), atol=1e-5
    )


@pytest.mark.parametrize("c3", [0.001, 0.005, 0.05])
@pytest.mark.parametrize("c2", [-0.7, 0.2])
def test_log_angularities_are_recovered(c2, c3):
    r = np.linspace(0, 0.4, 400)
    line = -1.3 + c2 * np.log(c3 + r)
    found = fit_log_angularity(r, np.tile(line, (4, 1)))
    np.testing.assert_allclose([found.c1, found.c2, found.c3], [-1.3, c2, c3], 1e-5)
    np.testing.assert_allclose(
        [found.c1_error, found.c2_error, found.c3_error], 0, atol=1e-5
    )
    assert found.r2 > 1 - 1e-9
    np.testing.assert_allclose(found(r), line, atol=1e-6)


def test_errors_of_log_angularities_are_those_of_directions():
    r = np.linspace(0, 0.4, 400)
    c3 = np.array([0.004, 0.005, 0.006])
    found = fit_log_angularity(r, np.log(c3[:, None] + r))
    assert found.c3_error == pytest.approx(0.001, rel=1e-3)
    assert found.c3 == pytest.approx(0.005, rel=0.02)
    assert 0.99 < found.r2 < 1


@pytest.mark.parametrize("shape", ["line", "parabola", "step"])
def test_other_forms_are_no_log_angularities(shape):
    r = np.linspace(0, 0.4, 400)
    line = {"line": 1 - r, "parabola": 1 - r**2, "step": np.where(r > 0, 0.0, 1.0)}
    found = fit_log_angularity(r, np.tile(line[shape], (4, 1)))
    assert np.isnan([found.c1_error, found.c2_error, found.c3_error]).all()
    if shape == "line":
        assert found.c3 > 10
        assert found.r2 > 0.999


def test_fit_log_angularity_of_a_latent_function(tagged_jets):
    classifier = MomentEFNClassifier(2, 2, **QUICK).fit(*tagged_jets)
    for component in (0, 1):
        found = classifier.fit_log_angularity(component, radius=0.3)
        r = np.linspace(0, 0.3, 400)
        angle = np.arange(16)[:, None] * np.pi / 8
        points = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)
        phi = classifier.latent_function(points.reshape(-1, 2))[:, component]
        phi = phi.reshape(16, 400) / np.abs(phi).max()
        if phi[:, 0].mean() < phi.mean():
            phi = -phi
        residual = phi - found(r)
        assert found.r2 == pytest.approx(1 - np.mean(residual**2) / phi.var())
        # The best of its kind: a little more or less of anything is worse.
        for change in (1.01, 0.99):
            for name in ("c1", "c2", "c3"):
                c = {n: getattr(found, n) for n in ("c1", "c2", "c3")}
                c[name] *= change
                other = phi - (c["c1"] + c["c2"] * np.log(c["c3"] + r))
                assert np.mean(other**2) > np.mean(residual**2)


def test_fit_log_angularity_refuses(tagged_jets, counting_classifier):
    with pytest.raises(ValueError, match="weighting='count' depends on the momentum"):
        counting_classifier.fit_log_angularity()
    classifier = MomentEFNClassifier(2, 2, **QUICK).fit(*tagged_jets)
    with pytest.raises(ValueError, match="component == 2"):
        classifier.fit_log_angularity(2)
    with pytest.raises(ValueError, match="radius == 0"):
        classifier.fit_log_angularity(radius=0.0)
    for radius in (np.inf, np.nan):
        with pytest.raises(ValueError, match="radius must be finite"):
            classifier.fit_log_angularity(radius=radius)
