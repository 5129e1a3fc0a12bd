"""Rows of jets in flat tables, and where they stand in padded ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Elements:
    """Rows of a flat table as places of a padded one.

    Attributes
    ----------
    jet : int64 tensor of shape (n_rows,)
        Jet of each row.
    place : int64 tensor of shape (n_rows,)
        Place of each row within its jet.
    mask : bool tensor of shape (n_jets, n_places)
        Whether there is a row at a place.
    """

    jet: Tensor
    place: Tensor
    mask: Tensor

    @classmethod
    def of(cls, counts: Tensor) -> Elements:
        """Find the places of the rows of a table that holds jet after jet.

        Parameters
        ----------
        counts : int64 tensor of shape (n_jets,)
            Number of rows of each jet.

        Returns
        -------
        Elements
            The rows.
        """
        jets = torch.arange(len(counts), device=counts.device)
        jet = jets.repeat_interleave(counts)
        starts = counts.cumsum(0) - counts
        place = torch.arange(len(jet), device=counts.device) - starts[jet]
        places = torch.arange(int(counts.max()), device=counts.device)
        return cls(jet, place, places < counts[:, None])

    def with_jets(self) -> Elements:
        """Put one more row a jet, the jet itself, before all others.

        Returns
        -------
        Elements
            First the jets, each at place 0, then the rows there were.
        """
        jets = torch.arange(len(self.mask), device=self.jet.device)
        return Elements(
            torch.cat([jets, self.jet]),
            torch.cat([torch.zeros_like(jets), self.place + 1]),
            pad(self.mask, (1, 0), value=True),
        )

    def pad(self, rows: Tensor) -> Tensor:
        """Write rows to a padded table.

        Parameters
        ----------
        rows : tensor of shape (n_rows, ...)
            The rows.

        Returns
        -------
        tensor of shape (n_jets, n_places, ...)
            The table, with zeros where there is no row.
        """
        table = rows.new_zeros((*self.mask.shape, *rows.shape[1:]))
        return table.index_put((self.jet, self.place), rows)

    def unpad(self, table: Tensor) -> Tensor:
        """Read the rows of a padded table.

        Parameters
        ----------
        table : tensor of shape (n_jets, n_places, ...)
            The table.

        Returns
        -------
        tensor of shape (n_rows, ...)
            The rows.
        """
        return table[self.jet, self.place]

    @cached_property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """Ordered pairs of rows of the same jet, a row with itself too."""
        row = self.pad(torch.arange(len(self.jet), device=self.jet.device))
        both = self.mask[:, :, None] & self.mask[:, None]
        jet, first, second = both.nonzero(as_tuple=True)
        return row[jet, first], row[jet, second]
