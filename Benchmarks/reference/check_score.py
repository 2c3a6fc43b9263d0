"""Checks `lineup score` against numpy: CMC, mAP and mINP with junk, distractors and ties, by both metrics, re-ranked, expanded, pooled,
as verification and by cameras."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from comparison import Report
from images import Row, write_rows
from ranking import Floats, Samples, by_cameras, distances, expanded, metrics, pooled, rerank, verification
from runner import run, workspace

NAMES = ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20")
LIMITS = (1e-4, 1e-3, 1e-2)
# What the distances are raised to before re-ranking. Zhong et al. square Euclidean distances; 1 − cosine is half the
# squared Euclidean distance of normalized rows, and each column is divided by its largest value anyway.
POWERS = {"euclidean": 2, "cosine": 1}


def make(generator: np.random.Generator, options: argparse.Namespace, whole_numbers: bool) -> tuple[Samples, Samples]:
    """Clusters with junk, distractors, a query without any match and one with matches in its own camera only.

    With whole numbers squared distances are exact in any precision, and many of them are equal.
    """
    identities, dimension = options.identities, options.dimension
    centres = generator.normal(size=(identities + 1, dimension))

    def draw(labels: np.ndarray, cameras: np.ndarray) -> Samples:
        spread = generator.normal(size=(len(labels), dimension)) * options.noise
        features = np.where((labels > 0)[:, None], centres[np.maximum(labels, 0)], 0) + spread
        if whole_numbers:
            features = np.rint(features[:, :4] * 1.5)
        return Samples(features.astype(np.float32).astype(np.float64), labels, cameras)

    people = np.arange(1, identities + 1)
    labels = np.concatenate([np.repeat(people, 2), [identities, identities]])
    cameras = np.concatenate([np.tile([1, 2], identities), [3, 3]])
    query = draw(labels, cameras)
    # Identity 1 is not in the gallery; identity 2 only under camera 1, so its query of camera 1 has no match.
    labels = np.concatenate([np.repeat(people[1:], 8), np.zeros(identities, int), np.full(identities, -1)])
    cameras = generator.integers(1, 5, size=len(labels))
    cameras[labels == 2] = 1
    order = generator.permutation(len(labels))
    return query, draw(labels[order], cameras[order])


def write(folder: Path, name: str, samples: Samples) -> str:
    """Features as float32 `.npy` and their `.csv`; the path of the first."""
    path = folder / f"{name}.npy"
    np.save(path, samples.features.astype(np.float32))
    rows = [Row(f"{name}/{i:06d}.jpg", int(identity), int(camera))
            for i, (identity, camera) in enumerate(zip(samples.identities, samples.cameras))]
    write_rows(path.with_suffix(".csv"), rows)
    return str(path)


def reranked(query: Samples, gallery: Samples, metric: str, power: int) -> Floats:
    """Re-ranked distances. Junk (identity −1) is no image of anyone and takes no part in the neighbourhoods."""
    kept = gallery.identities != -1
    together = np.concatenate([query.features, gallery.features[kept]])
    result = np.full((len(query.features), len(gallery.features)), np.inf)
    result[:, kept] = rerank(distances(together, together, metric) ** power, len(query.features))
    return result


def read_scores(path: Path) -> dict[str, float]:
    """Lineup's figures as fractions, also where they are written as percentages."""
    scores: dict[str, Any] = json.loads(path.read_text())
    missing = [name for name in NAMES if name not in scores]
    if missing:
        raise SystemExit(f"{path.name}: no {', '.join(missing)}; it has {', '.join(sorted(scores))}")
    divisor = 100 if max(float(scores[name]) for name in NAMES) > 1 else 1
    return {name: float(scores[name]) / divisor for name in NAMES}


def difference(a: dict[str, float], b: dict[str, float]) -> float:
    """The largest absolute difference among the figures."""
    return max(abs(a[name] - b[name]) for name in NAMES)


def check_extras(report: Report, lineup: str, folder: Path, query: Samples, gallery: Samples, paths: list[str],
                 metric: str, limit: float) -> None:
    """What `score` has beside the plain figures, in one run."""
    output = folder / "extras.json"
    run(lineup, ["score", *paths, "--metric", metric, "--json", str(output), "--expand", "--multi-query",
                 "--verification", "--camera-pairs"], 1)
    found: dict[str, Any] = json.loads(output.read_text())
    kept = gallery.identities != -1
    gallery = Samples(gallery.features[kept], gallery.identities[kept], gallery.cameras[kept])
    other = "euclidean" if metric == "cosine" else "cosine"
    pairs = {other: (query, gallery, other), "expanded": (*expanded(query, gallery), metric),
             "multiQuery": (pooled(query, gallery), gallery, metric)}
    for name, (queries, images, by) in pairs.items():
        expected = metrics(distances(queries.features, images.features, by), queries, images)
        error = max(abs(found[name][key] - expected[key]) for key in NAMES)
        report.check(f"{name}, {metric}", error <= limit, f"largest difference {error:.1e} (limit {limit:.0e})")
    matrix = distances(query.features, gallery.features, metric) ** POWERS[metric]
    rates = verification(matrix, query, gallery, LIMITS)
    error = float(np.abs(np.subtract(rates, found["verification"]["truePositiveRates"])).max())
    report.check(f"verification, {metric}", error <= limit, f"largest difference {error:.1e} (limit {limit:.0e})")
    cameras = {(pair["queryCamera"], pair["galleryCamera"]): (pair["mAP"], pair["rank1"])
               for pair in found["cameraPairs"]}
    expected_cameras = by_cameras(matrix, query, gallery)
    error = max(float(np.abs(np.subtract(cameras[pair], expected_cameras[pair])).max()) for pair in cameras)
    report.check(f"cameras, {metric}", error <= limit and cameras.keys() == expected_cameras.keys(),
                 f"largest difference {error:.1e} of {len(cameras)} pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lineup", required=True, help="the lineup binary")
    parser.add_argument("--identities", type=int, default=60)
    parser.add_argument("--dimension", type=int, default=32)
    parser.add_argument("--noise", type=float, default=1.2, help="spread of a cluster; that of the centres is 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", default="1", help="comma-separated; those above 1 run under mpirun")
    parser.add_argument("--limit", type=float, default=1e-4, help="of every figure's absolute difference")
    parser.add_argument("--work", help="keep the files here")
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    report = Report()
    cases = [("random", metric, again) for again in (False, True) for metric in ("cosine", "euclidean")]
    cases.insert(2, ("ties", "euclidean", False))
    samples = {kind: make(generator, options, kind == "ties") for kind in ("random", "ties")}
    with workspace(options.work) as folder:
        for kind, metric, again in cases:
            query, gallery = samples[kind]
            paths = ["--query", write(folder, f"{kind}-query", query)]
            paths += ["--gallery", write(folder, f"{kind}-gallery", gallery)]
            if again:
                expected = metrics(reranked(query, gallery, metric, POWERS[metric]), query, gallery)
            else:
                expected = metrics(distances(query.features, gallery.features, metric), query, gallery)
            for ranks in (int(text) for text in options.ranks.split(",")):
                output = folder / "scores.json"
                output.unlink(missing_ok=True)
                arguments = ["score", *paths, "--metric", metric, "--json", str(output)]
                run(options.lineup, arguments + (["--rerank"] if again else []), ranks)
                scores = read_scores(output)
                error = difference(scores, expected)
                limit = 1e-6 if kind == "ties" else options.limit
                name = f"{kind}, {metric}{', re-ranked' if again else ''}{f', {ranks} ranks' if ranks > 1 else ''}"
                report.check(name, error <= limit, f"largest difference {error:.1e} (limit {limit:.0e})")
                report.note("", "  ".join(f"{n} {scores[n]:.5f} and {expected[n]:.5f}" for n in NAMES))
                for power in (1, 2, 4) if again and error > limit else ():
                    other = metrics(reranked(query, gallery, metric, power), query, gallery)
                    report.note("", f"with distances to the power {power} it is {difference(scores, other):.1e}")
            if kind == "random" and not again:
                check_extras(report, options.lineup, folder, query, gallery, paths, metric, options.limit)
    report.finish()


if __name__ == "__main__":
    main()
