"""Optimal map between Gaussians whose moments depend on conditions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh, solve_triangular

from ._maps import Array, GradientMap, Sample

# Rows whose matrices are built and solved together.
_CHUNK = 4096
# A fitted covariance below this part of the average one, in any direction, is noise.
_MIN_PART = 0.05


class BuresMap(GradientMap):
    """Affine map that gives the simulation the mean and covariance of the data.

    ``T(x, c) = m_data(c) + B(c)^2 (x - m_sim(c))`` with symmetric positive B. It is
    exact between Gaussians (Bures-Wasserstein geometry, arXiv:1712.01504, eq. 5).
    The means and B are linear in the basis functions of the condition; a convex
    combination of positive matrices is positive.

    Parameters
    ----------
    source_mean, target_mean : arrays of shape (k, d)
        Means at the knots.
    root : array of shape (k, d, d)
        Square root B of the map's matrix at the knots.
    """

    def __init__(self, source_mean: Array, target_mean: Array, root: Array) -> None:
        self.source_mean = source_mean
        self.target_mean = target_mean
        self.root = root

    @classmethod
    def fit(cls, source: Sample, target: Sample, *, shrinkage: float | str) -> BuresMap:
        """Estimate the map from weighted samples.

        Parameters
        ----------
        source, target : Sample
            Simulation and data.
        shrinkage : float or "auto"
            Fraction by which covariances between columns are reduced; with 1 each
            column is moved by itself. "auto" estimates it on either side.

        Returns
        -------
        BuresMap
            The map.
        """
        source_mean, source_cov = _moments(source, shrinkage)
        target_mean, target_cov = _moments(target, shrinkage)
        pairs = zip(source_cov, target_cov, strict=True)
        return cls(source_mean, target_mean, np.stack([_map_root(*p) for p in pairs]))

    def whiten_source(self, x: Array, h: Array) -> Array:
        """Coordinates ``B (x - m_sim)``, in which the map is the identity."""
        return self._apply_root(x - h @ self.source_mean, h)

    def whiten_target(self, y: Array, h: Array) -> Array:
        """Coordinates ``B^-1 (y - m_data)``, in which the map is the identity."""
        return self._solve_root(y - h @ self.target_mean, h)

    def unwhiten_source(self, x: Array, h: Array) -> Array:
        """Undo `whiten_source`."""
        return self._solve_root(x, h) + h @ self.source_mean

    def unwhiten_target(self, y: Array, h: Array) -> Array:
        """Undo `whiten_target`."""
        return self._apply_root(y, h) + h @ self.target_mean

    def forward(self, x: Array, h: Array) -> Array:
        return self.unwhiten_target(self.whiten_source(x, h), h)

    def inverse(self, y: Array, h: Array) -> Array:
        return self.unwhiten_source(self.whiten_target(y, h), h)

    def log_det(self, x: Array, h: Array) -> Array:
        if len(self.root) == 1:
            return np.full(len(x), 2.0 * np.linalg.slogdet(self.root[0])[1])
        return np.concatenate(
            [2.0 * np.linalg.slogdet(root)[1] for _, root in self._roots(h)]
        )

    def potential(self, x: Array, h: Array) -> Array:
        white = self.whiten_source(x, h)
        return self.lift(0.5 * np.square(white).sum(axis=1), x, h)

    def lift(self, white_potential: Array, x: Array, h: Array) -> Array:
        """Potential in x of a map whose potential in whitened coordinates is given.

        Parameters
        ----------
        white_potential : array of shape (n,)
            Potential at ``whiten_source(x, h)``.
        x : array of shape (n, d)
            The points.
        h : array of shape (n, k)
            Basis functions of the condition.

        Returns
        -------
        array of shape (n,)
            Potential with gradient ``unwhiten_target(gradient of the white one)``.
            At the centre of the simulation it is that of the identity, so that
            differences between maps do not depend on where the origin is.
        """
        centre, shift = h @ self.source_mean, h @ self.target_mean
        constant = 0.5 * np.square(centre).sum(axis=1)
        linear = np.einsum("ij,ij->i", shift, x - centre)
        return white_potential + linear + constant

    def min_curvature(self) -> float:
        # The smallest eigenvalue is concave: between knots it is not below theirs.
        return float(np.linalg.eigvalsh(self.root).min() ** 2)

    # Matrices B of the rows, a chunk at a time.
    def _roots(self, h: Array) -> Iterator[tuple[slice, Array]]:
        for start in range(0, len(h), _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield rows, np.tensordot(h[rows], self.root, axes=1)

    def _apply_root(self, x: Array, h: Array) -> Array:
        # B is linear in h: apply the matrix of every knot, then mix.
        out = np.zeros_like(x)
        for knot, root in enumerate(self.root):
            out += h[:, [knot]] * (x @ root)
        return out

    def _solve_root(self, x: Array, h: Array) -> Array:
        if len(self.root) == 1:
            return np.linalg.solve(self.root[0], x.T).T
        out = np.empty_like(x)
        for rows, root in self._roots(h):
            out[rows] = np.linalg.solve(root, x[rows, :, None])[:, :, 0]
        return out


# Means (k, d) and covariances (k, d, d) at the knots. Both are weighted least squares
# fits on the basis: unlike averages under every basis function they are not pulled
# inwards at the ends of the spectrum.
def _moments(sample: Sample, shrinkage: float | str) -> tuple[Array, Array]:
    mean, normal = _means(sample)
    products = np.zeros((len(normal), mean.shape[1], mean.shape[1]))
    for x, h, w in sample.blocks():
        centred = x - h @ mean
        for product, weight in zip(products, (h * w[:, None]).T, strict=True):
            product += (centred * weight[:, None]).T @ centred
    fitted = np.linalg.solve(normal, products.reshape(len(normal), -1))
    average = products / normal.sum(axis=1)[:, None, None]
    if shrinkage == "auto":
        shrinkage = _best_shrinkage(sample, mean)
    reduced = 1.0 - float(shrinkage) * (1.0 - np.eye(mean.shape[1]))
    average, covariance = average * reduced, fitted.reshape(average.shape) * reduced
    for knot, fallback in enumerate(average):
        _check_positive(fallback)
        # A fit may leave the positive cone, where the average is inside.
        part = eigh(covariance[knot], fallback, eigvals_only=True)[0]
        if part < _MIN_PART:
            covariance[knot] = fallback
    return mean, covariance


# Means at the knots, and the matrix of the normal equations on the basis.
def _means(sample: Sample) -> tuple[Array, Array]:
    normal = (sample.h * sample.w[:, None]).T @ sample.h
    total = sum((h * w[:, None]).T @ x for x, h, w in sample.blocks())
    return np.asarray(np.linalg.solve(normal, total), dtype=np.float64), normal


# The shrinkage of correlations with the least expected squared error: the sum of their
# variances over that of their squares (Schaefer and Strimmer 2005,
# doi:10.2202/1544-6115.1175, eq. 10). One knot has its share of the rows.
def _best_shrinkage(sample: Sample, mean: Array) -> float:
    square, fourth = np.zeros((2, mean.shape[1], mean.shape[1]))
    for x, h, w in sample.blocks():
        centred = x - h @ mean
        weighted = centred * w[:, None]
        square += weighted.T @ centred
        fourth += (weighted * centred).T @ np.square(centred)
    total = sample.w.sum()
    variance = np.diag(square) / total
    correlation = square / total / np.sqrt(np.outer(variance, variance))
    spread = fourth / total / np.outer(variance, variance) - np.square(correlation)
    n_effective = total**2 / np.square(sample.w).sum() / len(mean)
    others = ~np.eye(len(variance), dtype=bool)
    signal = np.square(correlation[others]).sum()
    noise = spread[others].sum() / n_effective
    return float(np.clip(noise / max(signal, 1e-300), 0.0, 1.0))


def _check_positive(covariance: Array) -> None:
    variance = np.diag(covariance)
    if (variance > 0).all():
        scale = np.sqrt(variance)
        if np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] > 1e-12:
            return
    raise np.linalg.LinAlgError(
        "a weighted covariance of the moved columns is not positive: too few distinct "
        "rows, or negative weights (those of the background count as such) that "
        "outweigh the others."
    )


# Square root of the matrix that moves one covariance onto another. With factors
# L L^T of the two, the matrix is L^-T V S V^T L^-1 for the singular values S of
# L_target^T L_source: squares of covariances, and their loss of digits, are avoided.
def _map_root(source: Array, target: Array) -> Array:
    factor = np.linalg.cholesky(source)
    _, singular, basis = np.linalg.svd(np.linalg.cholesky(target).T @ factor)
    half = solve_triangular(factor, basis.T, trans="T", lower=True) * np.sqrt(singular)
    value, vector = np.linalg.eigh(half @ half.T)
    return (vector * np.sqrt(value)) @ vector.T
