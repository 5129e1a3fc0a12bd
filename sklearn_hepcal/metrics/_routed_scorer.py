"""Scorers that tell scikit-learn themselves which metadata they take."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRequest


class RoutedScorer(ABC):
    """A scorer with metadata routing, for scores that make_scorer cannot express."""

    _name: str
    _metadata: tuple[str, ...] = ("sample_weight",)

    def __init__(self) -> None:
        # None: an error if it is given without being requested.
        self._requests: dict[str, bool | str | None] = dict.fromkeys(self._metadata)

    def __repr__(self) -> str:
        return self._name

    @abstractmethod
    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> float: ...

    def set_score_request(self, **requests: bool | str | None) -> Self:
        """Return a copy that asks searches and cross-validations for metadata.

        Parameters
        ----------
        **requests : dict of bool, str or None
            Metadata, such as ``sample_weight``, and whether to ask for it: True, False,
            the name under which it is passed, or None for an error if it is passed.

        Returns
        -------
        scorer
            The copy; a scorer itself never changes.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        TypeError
            If the scorer does not take the metadata.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "Requests need metadata routing; enable it by "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        unknown = sorted(requests.keys() - set(self._metadata))
        if unknown:
            raise TypeError(f"{self} takes {self._metadata}, not {unknown}.")
        scorer = copy.copy(self)
        scorer._requests = self._requests | requests
        return scorer

    def get_metadata_routing(self) -> MetadataRequest:
        """Tell scikit-learn which metadata is requested.

        Returns
        -------
        MetadataRequest
            The requests.
        """
        routing = MetadataRequest(owner=self._name)
        for param, alias in self._requests.items():
            routing.score.add_request(param=param, alias=alias)
        return routing

    # Searches ask for this when metadata routing is not enabled.
    def _accept_sample_weight(self) -> bool:
        return "sample_weight" in self._metadata
