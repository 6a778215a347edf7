"""One parser a public format; each gives a Corpus. A new format is a module here and a name in `Source.format`."""

from pathlib import Path

from xmcbench.data.corpus import Corpus
from xmcbench.data.dataset import Source
from xmcbench.data.formats.folder import Folder
from xmcbench.data.formats.jsonl_xz import JsonlXz
from xmcbench.data.formats.pecos import Pecos
from xmcbench.data.formats.raw_texts import RawTexts
from xmcbench.data.formats.repository_json import RepositoryJson
from xmcbench.data.formats.sparse_texts import SparseTexts
from xmcbench.data.synthetic import SyntheticCorpus, SyntheticSource


def open_corpus(source: Source | SyntheticSource, raw: Path, fetched_format: str | None = None) -> Corpus:
    """Open a data set's files. raw: the folder that holds them (unused for a packaged file and for synthetic data).

    fetched_format: what a mirror gave, if it is not the format that the data-set file names.
    """
    if isinstance(source, SyntheticSource):
        return SyntheticCorpus(source)
    kind = fetched_format or source.format
    if kind == "jsonl_xz":
        assert source.label_field is not None
        return JsonlXz(source.path(), source.id_field, source.text_field, source.label_field)
    folder = Folder(raw, source.latin_1, source.crlf)
    if kind == "pecos":
        return Pecos(folder)
    if kind == "raw_texts":
        return RawTexts(folder)
    if kind == "repository_json":
        return RepositoryJson(folder, source.text_fields)
    return SparseTexts(folder)
