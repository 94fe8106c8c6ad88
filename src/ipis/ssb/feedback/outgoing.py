"""The folder in which a finished tilbakemelding waits for the portal: zip, receipt and the receipt's signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel.push import names_of
from ipis.lib.storage import flush_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.ssb.feedback.models import Tilbakemelding
    from ipis.ssb.settings import SsbSettings

OUTGOING = "utgaaende"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The folder and the names of its three files, the zip first."""

    folder: Path
    names: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """Give the three files, there or not."""
        return [self.folder / name for name in self.names]

    @property
    def is_whole(self) -> bool:
        """Tell whether all three are there."""
        return all(file.is_file() for file in self.files)

    def make(self) -> list[Path]:
        """Make the folder, so that it survives a power cut; gives where the three files go."""
        self.folder.mkdir(mode=0o700)
        flush_folder(self.folder.parent)
        return self.files


def outgoing(settings: SsbSettings, one: Tilbakemelding) -> Outgoing:
    """Give where a tilbakemelding waits; after the push the folder is gone."""
    return Outgoing(settings.data / OUTGOING / one.push, tuple(names_of(one.name)))
