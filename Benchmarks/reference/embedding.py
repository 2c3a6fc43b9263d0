"""What `lineup visualize embedding` puts into a plane, beside scikit-learn's exact t-SNE and PCA of the same features.

    python embedding.py --lineup BINARY --checkpoint RUN --data DATA [--images 400]

Needs scikit-learn. Exits with code 1 where the map is worse than scikit-learn's by more than 5 % of its divergence or a hundredth of
its trustworthiness, or the principal components differ.
"""

import argparse
import csv
import subprocess
import sys
import tempfile

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness


def points(path):
    with open(path) as file:
        return np.array([[float(row["x"]), float(row["y"])] for row in csv.DictReader(file)])


def main():
    parser = argparse.ArgumentParser()
    for name in ("lineup", "checkpoint", "data"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--images", default="400")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:

        def run(*words):
            return subprocess.run(
                [options.lineup, *words, "--checkpoint", options.checkpoint], check=True, text=True, capture_output=True
            ).stdout

        for method in ("tsne", "pca"):
            said = run("visualize", "embedding", "--data", options.data, "--images", options.images, "--method", method,
                       "--output", f"{folder}/{method}.svg", "--csv", f"{folder}/{method}.csv")
            if method == "tsne":
                divergence = float(said.split("KL divergence")[1].split()[0])
        run("extract", "--images", f"{folder}/tsne.csv", "--output", f"{folder}/features.npy")
        features = np.load(f"{folder}/features.npy").astype(np.float64)
        own, components = points(f"{folder}/tsne.csv"), points(f"{folder}/pca.csv")

    peer = TSNE(method="exact", perplexity=30, init="pca", learning_rate="auto", random_state=0)
    other = peer.fit_transform(features)
    trust = [trustworthiness(features, plane, n_neighbors=10) for plane in (own, other)]
    exact = PCA(2, svd_solver="full").fit_transform(features)
    error = max(
        min(abs(a - b).max(), abs(a + b).max()) / abs(b).max() for a, b in zip(components.T, exact.T)
    )
    print(f"{len(features)} images")
    print(f"KL divergence      {divergence:.3f}, scikit-learn {peer.kl_divergence_:.3f}")
    print(f"trustworthiness    {trust[0]:.3f}, scikit-learn {trust[1]:.3f} (10 neighbours)")
    print(f"principal components differ by {error:.1e} of the largest coordinate")
    good = divergence <= 1.05 * peer.kl_divergence_ and trust[0] >= trust[1] - 0.01 and error < 1e-6
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
