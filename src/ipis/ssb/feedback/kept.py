"""What is kept of judging a delivery, beside the register: findings told, findings for staff, cells of its tables.

Findings are kept by row number, never by brukerNr: which that is, is asked of `lokal` each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from ipis.lib.storage import durable
from ipis.ssb.feedback.models import Tilbakemelding

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.ssb.register.models import Delivery
    from ipis.ssb.settings import SsbSettings


@dataclass(frozen=True, slots=True)
class Kept:
    """The folder of what is kept, one folder a delivery."""

    root: Path

    def keep_findings(self, delivery: Delivery, revision: int, findings: pa.Table) -> None:
        """Keep the findings told, durably, for the comparison with the next delivery."""
        self._write(self._of(delivery) / f"{revision:04d}.parquet", findings)

    def findings(self, delivery: Delivery) -> pa.Table | None:
        """Read the findings told with the newest tilbakemelding of a delivery, or None."""
        newest = Tilbakemelding.objects.filter(delivery=delivery).order_by("-revision").first()
        return None if newest is None else _read(self._of(delivery) / f"{newest.revision:04d}.parquet")

    def keep_staff(self, delivery: Delivery, findings: pa.Table) -> None:
        """Keep what only SSB's staff may see, as of the newest look; it goes into no feedback."""
        path = self._staff(delivery)
        if findings.num_rows:
            self._write(path, findings)
        else:
            path.unlink(missing_ok=True)

    def staff(self, delivery: Delivery) -> pa.Table | None:
        """Read what staff may see, or None where there is nothing."""
        return _read(self._staff(delivery))

    def has_staff(self, delivery: Delivery) -> bool:
        """Tell whether there is anything that only staff may see."""
        return self._staff(delivery).exists()

    def keep_cells(self, delivery: Delivery, pack_version: int, cells: pa.Table) -> None:
        """Keep the cells of the control tables, as counted by a version of the pack: next year stands beside them."""
        path = self._cells(delivery, pack_version)
        if not path.exists():
            self._write(path, cells)

    def cells(self, delivery: Delivery, pack_version: int) -> pa.Table | None:
        """Read the cells as counted by that version of the pack, or None."""
        return _read(self._cells(delivery, pack_version))

    @classmethod
    def of(cls, settings: SsbSettings) -> Kept:
        """Give what the room keeps."""
        return cls(settings.data / "funn")

    def _staff(self, delivery: Delivery) -> Path:
        return self._of(delivery) / "ssb.parquet"

    def _of(self, delivery: Delivery) -> Path:
        return self.root / delivery.forsendelse

    def _cells(self, delivery: Delivery, pack_version: int) -> Path:
        return self._of(delivery) / f"tall-{pack_version:04d}.parquet"

    def _write(self, path: Path, table: pa.Table) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with durable(path) as file:
            pq.write_table(table, file, compression="zstd")


def _read(path: Path) -> pa.Table | None:
    return pq.ParquetFile(path, memory_map=True).read(use_threads=False) if path.exists() else None
