"""The cases of the sweep for other trunks, norms, attention, heads and losses: settings by name.

`sweep.py` runs each plain and with MSGR at stages 1 and 2, and those of `PLACED`, `SINGLE` and `NORMED` with MSGR at other
places and with its other norms.
"""

from __future__ import annotations

SHALLOW = ["model.trunk=resnet18"]
ALONE = [*SHALLOW, "model.head=baseline"]
TWO_LEVELS = [*SHALLOW, "model.stages=[2,4]"]


def heads(*items: str) -> list[str]:
    """The settings of these heads, each in YAML without its braces."""
    return [f"model.heads=[{', '.join('{' + item + '}' for item in items)}]"]


TRUNKS = {
    "resnet18": SHALLOW,
    "resnet18, baseline, last stride 1": [*ALONE, "model.lastStride=1"],
    "resnet18, own weights": [*SHALLOW, "model.sharedPyramid=false"],
    "resnet34": ["model.trunk=resnet34"],
    "resnet101": ["model.trunk=resnet101"],
    "ibn-a": ["model.norm=ibn-a"],
    "ibn-a, odd halves": [*SHALLOW, "model.norm=ibn-a", "model.width=0.11"],
    "ibn-a, resnet18": [*SHALLOW, "model.norm=ibn-a"],
    "se": ["model.attention=se"],
    "se, resnet18": [*SHALLOW, "model.attention=se"],
    "ibn-a, se": ["model.norm=ibn-a", "model.attention=se"],
    "se, reduction 2": ["model.attention={se: {reduction: 2}}"],
    "eca": ["model.attention=eca"],
    "eca 5, ibn-a, resnet18": [*SHALLOW, "model.norm=ibn-a", "model.attention={eca: {kernel: 5}}"],
    "pixel": ["model.attention=pixel"],
    "pixel, resnet18": [*SHALLOW, "model.attention=pixel"],
    "pixelChannel": ["model.attention=pixelChannel"],
    # One inner channel alone would leave a weight of each output, whose only gradient is that of its length under a norm: none.
    "nonLocal": ["model.attention={nonLocal: {channels: 3}}"],
    "nonLocal, half, resnet18": [*SHALLOW, "model.attention={nonLocal: {blocks: [1, 2, 9, 0], channels: 0}}"],
    "osnet": ["model.trunk=osnet"],
    "osnet, baseline": ["model.trunk=osnet", "model.head=baseline"],
    "osnet, odd": ["model.trunk=osnet", "model.head=baseline", "model.width=0.17"],
    "osnet, se": ["model.trunk=osnet", "model.attention=se"],
    "osnet, pixel": ["model.trunk=osnet", "model.attention=pixel"],
    "osnetAin": ["model.trunk=osnetAin"],
    "osnetAin, eca": ["model.trunk=osnetAin", "model.head=baseline", "model.attention=eca"],
    "osnetAin, pixelChannel": ["model.trunk=osnetAin", "model.attention=pixelChannel"],
    "pixelChannel, ibn-a, resnet34": ["model.trunk=resnet34", "model.norm=ibn-a", "model.attention=pixelChannel"],
}

LOSSES = {
    "cross-entropy 0.7, smoothing 0.1": [*SHALLOW, "losses.crossEntropy.weight=0.7", "losses.crossEntropy.smoothing=0.1"],
    "soft triplet": [*SHALLOW, "losses.triplet.soft=true", "losses.triplet.weight=1.5"],
    "triplet alone": [*SHALLOW, "losses.crossEntropy.weight=0", "losses.triplet.margin=1"],
}

PLAIN_TERMS = "losses: [{crossEntropy: {smoothing: 0.2}}, {triplet: {margin: 0.5, weight: 0.8}}]"
# A short embedding, between whose rows and the classes' weights cosines are large.
COSINE = "neck: {embedding: {length: 8}}, classifier: cosine"
COSINE_BNNECK = "neck: bnneck, classifier: cosine"

HEADS = {
    "head": [*SHALLOW, *heads("name: only")],
    "head on stages 2, 4": [*ALONE, *heads("sources: [stage2, stage4]")],
    "head on level 4, stage 4, level 2": [*TWO_LEVELS, *heads("sources: [level4, stage4, level2]")],
    "head on stage 3 and one on stage 4": [*ALONE, *heads("name: a, sources: [stage3]", "name: b")],
    "heads on levels 2 and 4": [*TWO_LEVELS, *heads("name: a, sources: [level2]", "name: b, sources: [level4, stage1]")],
    "head on level 1 to 4 without lateral, and stage 2": [
        *SHALLOW, "model.lateral=false", *heads("sources: [level1, level2, stage2, level3, level4]")],
    "head, direct fusion": [
        *SHALLOW, "model.lateral=false", "model.topDown=false", "model.fusion=false",
        *heads("neck: bnneck, pool: max")],
    "max": [*ALONE, *heads("pool: max")],
    "max of levels": [*SHALLOW, *heads("pool: max")],
    "gem": [*ALONE, *heads("pool: gem")],
    "gem of levels": [*SHALLOW, *heads("pool: gem")],
    "stripe": [*ALONE, "model.lastStride=1", *heads("mask: {stripe: {height: 0.5}}")],
    "stripe of levels, max": [*SHALLOW, "seed=98765432109876", *heads("mask: stripe, pool: max")],
    "bands": [*ALONE, "model.lastStride=1", *heads("name: a", "name: b, bands: 2", "name: c, bands: 3, band: 2, mask: channels")],
    "channels": [*ALONE, *heads("mask: {channels: {rate: 0.3}}, sources: [stage3, stage4]")],
    "channels of levels, gem": [*SHALLOW, *heads("mask: channels, pool: gem")],
    "masks of two heads": [*SHALLOW, *heads("name: a, mask: channels", "name: b, mask: {stripe: {height: 0.4}}, pool: max")],
    "embedding of 48": [*SHALLOW, *heads("neck: {embedding: {length: 48}}")],
    "bnneck": [*ALONE, *heads("neck: bnneck, classifier: {linear: {bias: false}}, " + PLAIN_TERMS)],
    "bnneck with shift": [*ALONE, *heads("neck: {bnneck: {shift: true}}, " + PLAIN_TERMS)],
    "bnneck, gem of levels": [*SHALLOW, *heads("neck: bnneck, pool: gem, " + PLAIN_TERMS)],
    "linear without bias": [*SHALLOW, *heads("classifier: {linear: {bias: false}}")],
    "additive": [*ALONE, *heads(COSINE + ", losses: [{margin: {kind: additive, scale: 10, margin: 0.35}}]")],
    "angular": [*ALONE, *heads(COSINE + ", losses: [{margin: {scale: 10}}, triplet]")],
    "angular beyond π": [*ALONE, *heads(COSINE + ", losses: [{margin: {kind: angular, scale: 5, margin: 1.5}}]")],
    "angular, bnneck": [*ALONE, *heads(COSINE_BNNECK + ", losses: [margin, {triplet: {soft: true}}]")],
    "circle": [*ALONE, *heads(COSINE + ", losses: [{margin: {kind: circle, scale: 10, margin: 0.25}}]")],
    "circle, bnneck": [
        *ALONE, *heads(COSINE_BNNECK + ", losses: [{margin: {kind: circle, scale: 8, margin: 0.02, weight: 2}}]")],
    "contrastive": [*ALONE, *heads("losses: [crossEntropy, {contrastive: {margin: 6}}]")],
    "weighted triplet": [*ALONE, *heads("losses: [crossEntropy, {weightedTriplet: {weight: 0.5}}]")],
    "contrastive, bnneck": [*ALONE, *heads("neck: bnneck, losses: [{contrastive: {margin: 2, weight: 0.5}}]")],
    "focal": [*ALONE, *heads("losses: [focal]")],
    "focal 0.5": [*ALONE, *heads("losses: [{focal: {exponent: 0.5, weight: 3}}]")],
    "focal 0": [*ALONE, *heads("losses: [{focal: {exponent: 0}}]")],
    "centre": [*ALONE, *heads("losses: [crossEntropy, {centre: {weight: 0.05}}]")],
    "centre, bnneck": [*ALONE, *heads("neck: bnneck, losses: [focal, {centre: {weight: 0.1}}, {triplet: {soft: true}}]")],
    "terms without weight": [
        *ALONE, *heads("losses: [crossEntropy, {centre: {weight: 0}}, {focal: {weight: 0}}, {triplet: {weight: 0}}]")],
    "camera": [*SHALLOW, *heads("name: a", "name: b, label: camera, sources: [stage3], losses: [crossEntropy]")],
    "camera, every part": [
        *TWO_LEVELS, *heads(
            "name: a, sources: [stage1, stage4], pool: max, neck: bnneck, "
            "losses: [{crossEntropy: {weight: 0.5}}, {triplet: {soft: true}}]",
            "name: b, label: camera, sources: [stage4, level2, level4], pool: gem, classifier: cosine, "
            "losses: [{margin: {kind: circle, scale: 10, margin: 0.3}}, {centre: {weight: 0.02}}, triplet], retrieve: false",
            "name: c-3, mask: channels, sources: [level2, stage4], neck: {embedding: {length: 32}}, losses: [focal]")],
}

# MSGR at the input and all stages.
PLACED = {
    **{name: TRUNKS[name] for name in ("resnet18", "ibn-a", "se", "pixel, resnet18", "pixelChannel, ibn-a, resnet34", "osnet", "osnetAin")},
    **{name: HEADS[name] for name in ("max", "gem", "stripe", "channels of levels, gem", "camera, every part")},
}
# MSGR at one place.
SINGLE = {name: HEADS[name] for name in ("heads on levels 2 and 4", "camera, every part")}
# MSGR with the other norms.
NORMED = {name: PLACED[name] for name in ("ibn-a", "se", "pixel, resnet18", "camera, every part", "osnetAin")}

# Tensors of every kind, for adaptive L2.
EVERY_TENSOR = ["model.norm=ibn-a", "model.attention=se", "model.stages=[2,4]", *HEADS["camera, every part"][2:]]
GATES = ["model.attention=pixelChannel", *HEADS["gem"]]
