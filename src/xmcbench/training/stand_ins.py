"""Stand-ins for what the paper's recipe downloads: its encoders' architectures at two layers, and data a hundredth as large.

The architecture, width, special tokens and pad id are the real ones; the weights are random and the texts synthetic, so that
what is computed is the real code path and means nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from xmcbench.data.dataset import DatasetSpec
from xmcbench.data.label_groups import random_groups
from xmcbench.data.synthetic import SyntheticSource
from xmcbench.errors import ConfigError, allowed
from xmcbench.packaged_minilm import folder as packaged_folder
from xmcbench.recipe import TrainRecipe

LAYERS = 2
#: Of a data set's documents and labels.
SHARE = 100
#: What the smallest data set needs: four steps of eight documents, twice accumulated, and some to hold out.
LEAST_DOCUMENTS, TEST_DOCUMENTS = 200, 32
#: Hub id → kind of architecture, for the encoders of the paper's recipes.
KINDS = {
    "bert-base-uncased": "bert",
    "sentence-transformers/msmarco-distilbert-base-v4": "distilbert",
    "sentence-transformers/paraphrase-distilroberta-base-v2": "roberta",
}
#: Of the same, their layers; and the tokens that each kind knows.
DEPTHS = {
    "bert-base-uncased": 12,
    "sentence-transformers/msmarco-distilbert-base-v4": 6,
    "sentence-transformers/paraphrase-distilroberta-base-v2": 6,
}
VOCABULARY = {"bert": 30_522, "distilbert": 30_522, "roberta": 50_265}
#: In RoBERTa's order: ids 0, 1, 2, 3, 4.
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def stand_in_encoder(pretrained: str, texts: Iterable[str], folder: Path) -> Path:
    """Save a random encoder of a hub id's architecture, and a tokenizer, as a local folder; return it.

    texts: what a byte-level BPE is made from, for RoBERTa; BERT kinds take MiniLM's vocabulary, which is BERT's. Raises
    ConfigError for an encoder of another kind.
    """
    kind, _ = architecture(pretrained)
    tokenizer = (
        byte_pairs(texts)
        if kind == "roberta"
        else Tokenizer.from_file(str(packaged_folder() / "tokenizer.json"))
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    _save(kind, tokenizer.get_vocab_size(), LAYERS, folder)
    return folder


def random_encoder(pretrained: str, folder: Path) -> tuple[Path, int]:
    """Save a random encoder of a hub id's architecture, depth and vocabulary as a local folder; return it and its tokens.

    It has no tokenizer. Raises ConfigError for an encoder of another kind.
    """
    kind, layers = architecture(pretrained)
    folder.mkdir(parents=True, exist_ok=True)
    _save(kind, VOCABULARY[kind], layers, folder)
    return folder, VOCABULARY[kind]


def architecture(pretrained: str) -> tuple[str, int]:
    """Return the kind and depth of a hub id's encoder; raises ConfigError for one of another kind."""
    if pretrained not in KINDS:
        raise ConfigError(f"encoder.pretrained: no stand-in for {pretrained!r}; {allowed(list(KINDS))}")
    return KINDS[pretrained], DEPTHS[pretrained]


def _save(kind: str, vocabulary: int, layers: int, folder: Path) -> None:
    from transformers import AutoModel, BertConfig, DistilBertConfig, PreTrainedConfig, RobertaConfig

    config: PreTrainedConfig
    if kind == "bert":
        config = BertConfig(vocab_size=vocabulary, num_hidden_layers=layers)
    elif kind == "distilbert":
        config = DistilBertConfig(vocab_size=vocabulary, n_layers=layers)
    else:
        # Two positions lie before the first token's.
        config = RobertaConfig(vocab_size=vocabulary, num_hidden_layers=layers, max_position_embeddings=514)
    torch.manual_seed(1)
    AutoModel.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]


def byte_pairs(texts: Iterable[str], size: int = 2000) -> Tokenizer:
    """Return a byte-level BPE with RoBERTa's special tokens at RoBERTa's ids."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=ROBERTA_SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def stand_in_groups(recipe: TrainRecipe, labels: int) -> torch.Tensor | None:
    """Return random label groups, if a recipe has an auxiliary objective."""
    if recipe.auxiliary is None:
        return None
    return torch.from_numpy(random_groups(labels, recipe.auxiliary.groups, recipe.seed).astype(np.int64))


def stand_in_data(spec: DatasetSpec) -> DatasetSpec:
    """Return a synthetic data set of a hundredth of the documents and labels, with short texts and as many labels each."""
    counts = spec.counts["full"]
    documents, labels = counts.documents_train or 0, counts.labels or 0
    source = SyntheticSource.model_validate(
        {
            "format": "synthetic",
            "documents_train": max(LEAST_DOCUMENTS, documents // SHARE),
            "documents_test": TEST_DOCUMENTS,
            "labels": max(1, labels // SHARE),
            "labels_per_document": spec.published.labels_per_document or 5.0,
            "words_per_document": 8,
        }
    )
    return spec.model_copy(update={"source": source, "counts": {}})
