"""Published sizes of the standard data sets, which a synthetic one may be like.

Figures: the Extreme Classification Repository's table and, for Wiki-500K, the one of Renee (MLSys 2023); the text split of
Eurlex-4K by its LIBSVM page. "Documents per label" is training documents in some rows and all documents in others.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedShape:
    """What is published of a data set; `words` is ours: titles are short, the rest is cut by the encoder anyway."""

    label: str
    documents_train: int
    documents_test: int
    labels: int
    labels_per_document: float
    documents_per_label: float | None
    words: int = 64


SHAPES = {
    "eurlex4k": PublishedShape("Eurlex-4K", 15_449, 3_865, 3_956, 5.3, None),
    "wiki10": PublishedShape("Wiki10-31K", 14_146, 6_616, 30_938, 18.64, 8.52),
    "amazoncat13k": PublishedShape("AmazonCat-13K", 1_186_239, 306_782, 13_330, 5.04, 448.57),
    "wiki500k": PublishedShape("Wiki-500K", 1_779_881, 769_421, 501_070, 4.75, 16.86),
    "amazon670k": PublishedShape("Amazon-670K", 490_449, 153_025, 670_091, 5.45, 3.99),
    "amazontitles670k": PublishedShape("AmazonTitles-670K", 485_176, 150_875, 670_091, 5.39, 5.11, 8),
    "amazon3m": PublishedShape("Amazon-3M", 1_717_899, 742_507, 2_812_281, 36.17, 31.64),
    "lf-amazontitles131k": PublishedShape("LF-AmazonTitles-131K", 294_805, 134_835, 131_073, 2.29, 5.15, 8),
    "lf-wikiseealso320k": PublishedShape("LF-WikiSeeAlso-320K", 693_082, 177_515, 312_330, 2.11, 4.67),
    "lf-amazontitles1.3m": PublishedShape(
        "LF-AmazonTitles-1.3M", 2_248_619, 970_237, 1_305_265, 22.20, 38.24, 8
    ),
}
