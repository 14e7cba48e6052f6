"""`catchment.Dataset`: datasets of the platform that the configuration names, or of any other place."""

from __future__ import annotations

from pathlib import Path

from catchment.datasets import dataset
from catchment.datasets.reading import Place
from catchment.lake.settings import ObjectsSettings
from catchment.objects.settings import S3Settings
from catchment.platform import Platform


class Dataset(dataset.Dataset):
    """A dataset that knows where this platform's are."""

    __slots__ = ()

    @classmethod
    def from_source(cls, name: str, at: str | None = None, config: Path | None = None) -> dataset.Dataset:
        """The source `name`: a namespace, `framed` or `cohorts` of the platform's framed lake. `at` names another
        object store, of this platform's layout or of the one of 2018 (`sources.json` and `schema.json`); `config`
        another configuration file. Raises Missing, BadConfig."""
        platform = Platform.from_file(config)
        url, s3 = at or platform.config.section(ObjectsSettings).url, platform.config.section(S3Settings)
        return cls.at(Place(url, str(platform.home), s3), name)
