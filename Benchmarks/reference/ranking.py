"""CMC, mAP and k-reciprocal re-ranking in numpy and float64, written for clearness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Features (n, d) with the identity and camera of each row."""

    features: Floats
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]


def distances(a: Floats, b: Floats, metric: str) -> Floats:
    """Euclidean distances, or 1 − cosine, of every row of `a` to every row of `b`."""
    if metric == "cosine":
        a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12)
        b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-12)
        return 1 - a @ b.T
    return np.stack([np.sqrt(((b - row) ** 2).sum(axis=1)) for row in a])


def metrics(matrix: Floats, query: Samples, gallery: Samples) -> dict[str, float]:
    """mAP (mean of precision at each hit), mINP (hits by the rank of the last) and rank-1, 5, 10, 20 as fractions.

    Ignored for a query: gallery images of its identity and camera, and those of identity −1. Distractors (identity
    0) stay and never match. Equal distances keep the gallery's order. A query without a match does not count.
    """
    precisions: list[float] = []
    penalties: list[float] = []
    firsts: list[int] = []
    for row, identity, camera in zip(matrix, query.identities, query.cameras):
        hits: list[float] = []
        place = 0
        first = -1
        for index in np.argsort(row, kind="stable"):
            other = gallery.identities[index]
            if other == -1 or (other == identity and gallery.cameras[index] == camera):
                continue
            place += 1
            if other == identity:
                first = place if first < 0 else first
                hits.append((len(hits) + 1) / place)
        if hits:
            precisions.append(float(np.mean(hits)))
            penalties.append(hits[-1])
            firsts.append(first)
    if not firsts:
        raise SystemExit("no query has a match in the gallery")
    ranks = {f"rank{k}": float(np.mean([first <= k for first in firsts])) for k in (1, 5, 10, 20)}
    return {"mAP": float(np.mean(precisions)), "mINP": float(np.mean(penalties)), **ranks}


def expanded(query: Samples, gallery: Samples, count: int = 10, alpha: float = 3) -> tuple[Samples, Samples]:
    """Average query expansion: means of the `count` nearest by cosine, each times its cosine to the power alpha."""
    features = np.concatenate([query.features, gallery.features])
    near = distances(features, features, "cosine")
    order = np.argsort(near, axis=1, kind="stable")[:, :count]
    weights = np.maximum(0, 1 - np.take_along_axis(near, order, axis=1)) ** alpha
    means = np.stack([(features[rows] * row[:, None]).mean(axis=0) for rows, row in zip(order, weights)])
    means = means.astype(np.float32).astype(np.float64)
    cut = len(query.features)
    return (Samples(means[:cut], query.identities, query.cameras),
            Samples(means[cut:], gallery.identities, gallery.cameras))


def pooled(query: Samples, gallery: Samples) -> Samples:
    """Queries of the multi-query protocol: means of all images of a query's identity and camera."""
    features = query.features.copy()
    for row, (identity, camera) in enumerate(zip(query.identities, query.cameras)):
        if identity != -1:
            views = [s.features[(s.identities == identity) & (s.cameras == camera)] for s in (query, gallery)]
            features[row] = np.concatenate(views).mean(axis=0)
    return Samples(features.astype(np.float32).astype(np.float64), query.identities, query.cameras)


def verification(matrix: Floats, query: Samples, gallery: Samples, limits: tuple[float, ...]) -> list[float]:
    """The largest shares of pairs of one identity nearer than a distance than which at most `limits` of others are."""
    same = gallery.identities == query.identities[:, None]
    counted = (gallery.identities != -1) & (query.identities != -1)[:, None]
    counted &= ~(same & (gallery.cameras == query.cameras[:, None]))
    distance = matrix.astype(np.float32)
    others = np.sort(distance[counted & ~same])
    return [float(np.mean(distance[counted & same] < others[int(limit * len(others))])) for limit in limits]


def by_cameras(matrix: Floats, query: Samples, gallery: Samples) -> dict[tuple[int, int], tuple[float, float]]:
    """mAP and rank-1 of each query camera's queries in each other camera's gallery, where there is a match."""
    result = {}
    for own in np.unique(query.cameras):
        for other in np.unique(gallery.cameras[gallery.cameras != own]):
            rows, columns = query.cameras == own, gallery.cameras == other
            part = [Samples(s.features[kept], s.identities[kept], s.cameras[kept])
                    for s, kept in ((query, rows), (gallery, columns))]
            if np.intersect1d(part[0].identities, part[1].identities[part[1].identities > 0]).size:
                found = metrics(matrix[rows][:, columns], *part)
                result[int(own), int(other)] = found["mAP"], found["rank1"]
    return result


def neighbours(order: NDArray[np.int64], index: int, count: int) -> set[int]:
    """The k-reciprocal neighbours: rows of the `count` + 1 nearest (itself included) with `index` among theirs."""
    forward = order[index, :count + 1]
    return {int(other) for other in forward if index in order[other, :count + 1]}


def rerank(original: Floats, queries: int, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Floats:
    """Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding" (CVPR 2017).

    `original` holds the distances among queries and gallery together, queries first. Each column is divided by its
    largest value, as the authors' code does. The result is (queries, gallery).
    """
    original = (original / original.max(axis=0)).T
    count = len(original)
    order = np.argsort(original, axis=1, kind="stable")
    half = int(np.around(k1 / 2))
    encoding = np.zeros((count, count))
    for index in range(count):
        reciprocal = neighbours(order, index, k1)
        expanded = set(reciprocal)
        for candidate in reciprocal:
            others = neighbours(order, candidate, half)
            if len(others & reciprocal) > 2 / 3 * len(others):
                expanded |= others
        members = sorted(expanded)
        strength = np.exp(-original[index, members])
        encoding[index, members] = strength / strength.sum()
    if k2 > 1:
        encoding = np.stack([encoding[order[index, :k2]].mean(axis=0) for index in range(count)])
    result = np.empty((queries, count - queries))
    for index in range(queries):
        shared = np.minimum(encoding[index], encoding[queries:]).sum(axis=1)
        result[index] = (1 - shared / (2 - shared)) * (1 - weight) + original[index, queries:] * weight
    return result
