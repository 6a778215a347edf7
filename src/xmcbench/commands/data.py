"""From public files to tokens and label groups."""

import argparse
import logging
import sys
from pathlib import Path

from xmcbench.commands.command import Register, cores, count, known


def register(command: Register) -> None:
    """Add the commands."""
    fetch = command("fetch", _fetch, "fetch a data set's public files", "out")
    fetch.add_argument("--dataset", required=True)
    fetch.add_argument(
        "--sources", type=Path, default=None, help="list of sources (default: CONFIG/sources.tsv)"
    )
    fetch.add_argument(
        "--lock",
        type=Path,
        default=None,
        help="trust on first use (default: beside the list, sources.lock.tsv)",
    )
    prepare = command("prepare", _prepare, "parse and split a data set", "out")
    prepare.add_argument("--dataset", required=True)
    prepare.add_argument("--raw", type=Path, default=None, help="folder of the data set's files")
    sample = command("sample", _sample, "take a budget's sample", "prepared", "out")
    sample.add_argument("--dataset", required=True)
    sample.add_argument("--budget", required=True)
    tokenise = command("tokenise", _tokenise, "tokenise a sample", "sample", "out")
    tokenise.add_argument("--name", required=True, help="tokenizer+length[+special]")
    tokenise.add_argument(
        "--processes", type=int, default=cores(), help="changes no byte (default: one a core)"
    )
    group = command("group", _group, "group labels for the auxiliary objective", "sample", "out")
    group.add_argument("--tokens", type=Path, default=None, help="centroids from TF-IDF of these tokens")
    group.add_argument(
        "--features",
        type=Path,
        default=None,
        help="centroids from this array (.npy, rows × features) instead",
    )
    group.add_argument(
        "--feature-rows",
        choices=["documents", "labels"],
        default="documents",
        help="what the rows of --features are: training documents, or the labels themselves",
    )
    group.add_argument(
        "--terms", type=count, default=None, help="heaviest terms kept of each centroid (default: all)"
    )
    group.add_argument("--threads", type=count, default=cores(), help="they do not change the groups")
    group.add_argument("--grouping", choices=["semantic", "random"], required=True)
    group.add_argument("--groups", type=int, required=True)
    group.add_argument("--seed", type=int, required=True)


def _fetch(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.fetch.fetch import fetch
    from xmcbench.data.fetch.record import RECORD
    from xmcbench.errors import ConfigError

    if parsed.out.name != RECORD:
        raise ConfigError(f"--out: {parsed.out}; allowed: a path that ends in {RECORD}")
    sources = parsed.sources or parsed.config / "sources.tsv"
    lock = parsed.lock or sources.with_suffix(".lock.tsv")
    fetch(parsed.dataset, sources, lock, parsed.out.parent, log=log)


def _prepare(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.prepare import prepare
    from xmcbench.plan import Project

    spec = known(Project(parsed.config).datasets, parsed.dataset, "--dataset")
    manifest = prepare(spec, parsed.out, parsed.raw)
    log.info("%s: %s documents, %d labels", parsed.dataset, manifest.documents, manifest.labels)


def _sample(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.sample import sample
    from xmcbench.plan import Project

    project = Project(parsed.config)
    spec = known(project.datasets, parsed.dataset, "--dataset")
    known(project.budgets, parsed.budget, "--budget")
    manifest = sample(parsed.prepared, spec, parsed.budget, project.sample_rule(parsed.budget), parsed.out)
    log.info(
        "%s %s: %s documents, %d labels", parsed.dataset, parsed.budget, manifest.documents, manifest.labels
    )


def _tokenise(parsed: argparse.Namespace, log: logging.Logger) -> None:
    from xmcbench.data.tokens import tokenise
    from xmcbench.plan import parse_tokens_name

    tokenise(parsed.sample, parsed.out, *parse_tokens_name(parsed.name), parsed.processes, log)
    log.info("tokens written to %s", parsed.out)


def _group(parsed: argparse.Namespace, log: logging.Logger) -> None:
    import resource
    import time

    from xmcbench.data import label_centroids, label_groups
    from xmcbench.data.store import PreparedStore
    from xmcbench.data.tokens import TokenStore
    from xmcbench.errors import ConfigError

    started = time.perf_counter()
    store = PreparedStore.open(parsed.sample)
    split = store.split("train")
    # The centroids go into the tree without a name of ours, so that it can let them go.
    if parsed.grouping == "random":
        group_L = label_groups.random_groups(store.labels, parsed.groups, parsed.seed)
    elif parsed.features is not None:
        rows = store.labels if parsed.feature_rows == "labels" else split.documents
        features = label_centroids.load_features(parsed.features, rows, parsed.feature_rows)
        group_L = label_groups.balanced_groups(
            label_centroids.unit_rows(features)
            if parsed.feature_rows == "labels"
            else label_centroids.feature_centroids([split], features, store.labels),
            *(parsed.groups, parsed.seed, parsed.threads),
        )
    elif parsed.tokens is not None:
        tokens = TokenStore.open(parsed.tokens)
        group_L = label_groups.balanced_groups(
            label_centroids.label_centroids(
                [split], [tokens.split("train")], store.labels, tokens.vocabulary, parsed.terms
            ),
            *(parsed.groups, parsed.seed, parsed.threads),
        )
    else:
        raise ConfigError(
            "group: semantic groups are made of --tokens or --features; allowed: one of the two"
        )
    seconds = time.perf_counter() - started
    label_groups.write_groups(parsed.out, group_L, [split], parsed.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    log.info(
        "%d labels in %d groups: %.1f s, peak of the process %.2f GiB",
        *(store.labels, parsed.groups, seconds, peak),
    )
