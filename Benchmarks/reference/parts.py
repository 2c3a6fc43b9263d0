"""The cases of the sweep for other trunks, norms, attention, heads, losses and weights: settings by name.

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
    "resnet18, ceil": [*SHALLOW, "model.maxPool=ceil"],
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
    "osnet, ceil": ["model.trunk=osnet", "model.head=baseline", "model.maxPool=ceil"],
    "osnet, se": ["model.trunk=osnet", "model.attention=se"],
    "osnet, pixel": ["model.trunk=osnet", "model.attention=pixel"],
    "osnetAin": ["model.trunk=osnetAin"],
    "osnetAin, eca": ["model.trunk=osnetAin", "model.head=baseline", "model.attention=eca"],
    "osnetAin, pixelChannel": ["model.trunk=osnetAin", "model.attention=pixelChannel"],
    "pixelChannel, ibn-a, resnet34": ["model.trunk=resnet34", "model.norm=ibn-a", "model.attention=pixelChannel"],
}

RESNET18_IBN = [*SHALLOW, "model.norm=ibn-a"]
LAST_STRIDE_1 = "model.lastStride=1"
# Half the images erased from, half the weak channels dropped.
OFTEN = "model.attention={dgdm: {channelRate: 0.5, erasing: 0.5, threshold: 0.9}}"

ATTENTION = {
    "bam": ["model.attention=bam"],
    "bam, reduction 4, ibn-a": ["model.norm=ibn-a", "model.attention={bam: {reduction: 4}}"],
    "bam, reduction 3, resnet18": [*SHALLOW, "model.attention={bam: {reduction: 3}}"],
    "bam, osnet": ["model.trunk=osnet", "model.attention=bam"],
    "apm": ["model.attention=apm"],
    "apm, 128 by 96": [*ALONE, "input.height=128", "input.width=96", "model.attention={apm: {reduction: 4}}"],
    "apm, reduction 3, last stride 1, resnet18": [*SHALLOW, LAST_STRIDE_1, "model.attention={apm: {reduction: 3}}"],
    "apm, osnetAin": ["model.trunk=osnetAin", "model.attention={apm: {reduction: 4}}"],
    "gsam": ["model.attention=gsam"],
    "gsam, odd, ibn-a, resnet18": [*RESNET18_IBN, "model.width=0.11", "model.attention=gsam"],
    "gsam, osnet": ["model.trunk=osnet", "model.attention=gsam"],
    "atac": ["model.attention=atac"],
    "atac, ibn-a": ["model.norm=ibn-a", "model.attention={atac: {reduction: 3}}"],
    "atac, last stride 1, resnet18": [*SHALLOW, LAST_STRIDE_1, "model.attention=atac"],
    "atac, reduction 4, ibn-a, resnet18": [*RESNET18_IBN, "model.attention={atac: {reduction: 4}}"],
    "scan": ["model.attention=scan"],
    "scan, ibn-a, last stride 1": ["model.norm=ibn-a", LAST_STRIDE_1, "model.attention=scan"],
    "scan, last stride 1, resnet18": [*ALONE, LAST_STRIDE_1, "model.attention=scan"],
    "scan, osnetAin": ["model.trunk=osnetAin", "model.attention=scan"],
    "decoupled": ["model.attention=decoupled"],
    "decoupled, last stride 1, resnet18": [*SHALLOW, LAST_STRIDE_1, "model.attention=decoupled"],
    "decoupled, no norms": [LAST_STRIDE_1, "model.attention={decoupled: {norms: false}}"],
    "decoupled, no norms, ibn-a, resnet18": [*RESNET18_IBN, "model.attention={decoupled: {norms: false}}"],
    "decoupled, osnet": ["model.trunk=osnet", "model.attention=decoupled"],
    "dgdm": ["model.attention=dgdm"],
    "dgdm, often, last stride 1": ["input.height=128", "input.width=96", LAST_STRIDE_1, "seed=98765432109876", OFTEN],
    "dgdm, often, ibn-a, resnet18": [*RESNET18_IBN, "input.height=128", "input.width=64", OFTEN],
    "dgdm, never erased": [*ALONE, "model.attention={dgdm: {channelRate: 1, erasing: 0}}"],
    "dgdm, always erased": [*SHALLOW, "input.height=128", "model.attention={dgdm: {channelRate: 0, erasing: 1, threshold: 1}}"],
    "dgdm, osnet": ["model.trunk=osnet", "input.height=128", "input.width=64", OFTEN],
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
    "branch": [*ALONE, "model.branch=bottlenecks", *heads("sources: [branch]")],
    "branch and its stage, dropped": [
        "model.head=baseline", "model.branch=bottlenecks", *heads(
            "name: a, sources: [stage4]", "name: drop, sources: [branch], mask: topRows, pool: max",
            "name: b, sources: [stage2, branch], neck: bnneck")],
    "pam": [*SHALLOW, "model.pyramid={pam: {reduction: 8}}"],
    "pam of stages 2 and 4, own weights": [
        *SHALLOW, "model.pyramid=pam", "model.stages=[2,4]", "model.sharedPyramid=false",
        *heads("name: a", "name: b, sources: [stage1, stage2, stage4]")],
    "pam without top-down": [*SHALLOW, "model.pyramid=pam", "model.topDown=false"],
    "darn": [*SHALLOW, "model.pyramid={darn: {reduction: 8}}"],
    "darn of stages 2 and 4, own weights": [
        *SHALLOW, "model.pyramid=darn", "model.stages=[2,4]", "model.sharedPyramid=false",
        *heads("name: a", "name: b, sources: [stage1, stage2, stage4]")],
    "groie": [*SHALLOW, "model.branch=groie", *heads("sources: [branch]")],
    "groie beside levels, odd": [
        *SHALLOW, "model.width=0.11", "model.branch={groie: {kernel: 3, attention: false}}", "model.stages=[2,3,4]",
        *heads("name: a", "name: b, sources: [branch, level2, stage3], neck: bnneck")],
    "norm bias, aligned": [*ALONE, "model.norm=bias", "model.filters=aligned"],
    "norm bias, se": ["model.norm=bias", "model.attention=se"],
    "branch beside levels, odd": [
        *SHALLOW, "model.width=0.11", "model.branch={bottlenecks: {count: 1}}",
        *heads("name: a", "name: b, sources: [branch, level2]")],
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
    "pool attention": [*ALONE, *heads("pool: attention")],
    "pool attention, bottlenecks, bands": [
        "model.head=baseline", LAST_STRIDE_1,
        *heads("name: a, pool: attention", "name: b, bands: 2, band: 2, pool: attention, sources: [stage3, stage4]")],
    "pool attention of levels": [*TWO_LEVELS, *heads("sources: [level2, stage4, level4], pool: attention")],
    "topRows": [*ALONE, LAST_STRIDE_1, *heads("mask: topRows")],
    "topRows, half a row more": [
        "model.head=baseline", LAST_STRIDE_1, *heads("mask: {topRows: {height: 0.625}}, pool: max")],
    "topRows of bands and sources": [
        *ALONE, LAST_STRIDE_1, *heads(
            "name: a, pool: max", "name: b, bands: 2, band: 2, sources: [stage2, stage4], mask: {topRows: {height: 0.5}}",
            "name: c, bands: 3, band: 2, mask: {topRows: {height: 0.25}}, pool: max")],
    "topRows of levels, pool attention": [
        *TWO_LEVELS, *heads("mask: {topRows: {height: 0.2}}, sources: [level2, stage2, level4], pool: attention")],
    "embedding of 48": [*SHALLOW, *heads("neck: {embedding: {length: 48}}")],
    "prelu": [*ALONE, *heads("neck: {prelu: {length: 12}}, " + PLAIN_TERMS)],
    "prelu, cosine, levels": [*SHALLOW, *heads("neck: prelu, classifier: cosine, losses: [{margin: {kind: additive, scale: 8, margin: 0.1}}, {triplet: {soft: true}}]")],
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
    # A fresh network's distances are about 1.1, behind BNNeck 0.65.
    "rankedList": [*ALONE, *heads("losses: [crossEntropy, rankedList]")],
    "rankedList, both hinges": [
        *ALONE, *heads("losses: [{rankedList: {weight: 2, boundary: 1.17, margin: 0.08, temperature: 3}}]")],
    "rankedList, no hinge of positives": [
        *ALONE, *heads("losses: [crossEntropy, {rankedList: {boundary: 1.9, margin: 0.1, temperature: 0}}]")],
    "rankedList, no hinge of negatives": [
        *ALONE, *heads("losses: [crossEntropy, {rankedList: {boundary: 0.05, margin: 0.02}}]")],
    "rankedList, bnneck, levels": [*SHALLOW, *heads("neck: bnneck, losses: [crossEntropy, {rankedList: {boundary: 0.7, margin: 0.06}}]")],
    "topRank": [*ALONE, *heads("losses: [crossEntropy, {topRank: {steps: 0}}]")],
    "topRank, bnneck, levels": [
        *SHALLOW, *heads("neck: bnneck, "
                         "losses: [crossEntropy, {topRank: {weight: 2, slope: 4, asymmetry: 0.5, shape: 2, steps: 0}}]")],
    "topRank, cameras": [
        *ALONE, *heads("name: a", "name: b, label: camera, losses: [{topRank: {slope: 20, asymmetry: 3, shape: 0.5, steps: 0}}]")],
    "entropy, additive": [
        *ALONE, *heads(COSINE + ", losses: [{margin: {kind: additive, scale: 10, margin: 0.35, entropy: 1.5}}, triplet]")],
    "entropy, angular": [*ALONE, *heads(COSINE + ", losses: [{margin: {scale: 10, margin: 0.2, entropy: 0.3}}]")],
    "entropy, circle, bnneck": [
        *ALONE, *heads(COSINE_BNNECK + ", losses: [crossEntropy, {margin: {kind: circle, scale: 2, margin: 0.02, entropy: 2.4}}]")],
    "focal": [*ALONE, *heads("losses: [focal]")],
    "focal 0.5": [*ALONE, *heads("losses: [{focal: {exponent: 0.5, weight: 3}}]")],
    "focal 0": [*ALONE, *heads("losses: [{focal: {exponent: 0}}]")],
    "centre": [*ALONE, *heads("losses: [crossEntropy, {centre: {weight: 0.05}}]")],
    "centre, bnneck": [*ALONE, *heads("neck: bnneck, losses: [focal, {centre: {weight: 0.1}}, {triplet: {soft: true}}]")],
    "terms without weight": [
        *ALONE, *heads("losses: [crossEntropy, {centre: {weight: 0}}, {focal: {weight: 0}}, {triplet: {weight: 0}}]")],
    "camera": [*SHALLOW, *heads("name: a", "name: b, label: camera, sources: [stage3], losses: [crossEntropy]")],
    "groups": [*ALONE, *heads("name: a", "name: b, sources: [stage2], groups: [1, 0, 1, 2], losses: [crossEntropy, triplet]")],
    "groups, cosine, bnneck, levels": [
        *SHALLOW, *heads("name: a", "name: b, sources: [level2], groups: [0, 1, 1, 0], " + COSINE_BNNECK
                         + ", losses: [{margin: {kind: additive, scale: 8, margin: 0.1}}]")],
    "part": [*ALONE, "data.parts=0.5", *heads("name: a", "name: b, label: part, losses: [crossEntropy], retrieve: false")],
    "part, bam, levels": [
        *SHALLOW, "data.parts=0.5", "model.attention=bam",
        *heads("name: a", "name: b, label: part, sources: [level2, stage4], neck: {embedding: {length: 24}}, losses: [focal]")],
    "camera, every part": [
        *TWO_LEVELS, *heads(
            "name: a, sources: [stage1, stage4], pool: max, neck: bnneck, "
            "losses: [{crossEntropy: {weight: 0.5}}, {triplet: {soft: true}}]",
            "name: b, label: camera, sources: [stage4, level2, level4], pool: gem, classifier: cosine, "
            "losses: [{margin: {kind: circle, scale: 10, margin: 0.3}}, {centre: {weight: 0.02}}, triplet], retrieve: false",
            "name: c-3, mask: channels, sources: [level2, stage4], neck: {embedding: {length: 32}}, losses: [focal]")],
}

# Heads with tensors of every kind.
EVERY_HEAD = ["model.stages=[2,4]", *HEADS["camera, every part"][2:]]

WEIGHTS = {
    "aligned": ["model.filters=aligned"],
    "aligned, ibn-a, last stride 1, resnet18": [*RESNET18_IBN, LAST_STRIDE_1, "model.filters=aligned"],
    "aligned, bam": ["model.filters=aligned", "model.width=0.25", "model.attention={bam: {reduction: 4}}"],
    "aligned, decoupled, resnet18": [*SHALLOW, "model.filters=aligned", "model.attention=decoupled"],
    "aligned, se": [*SHALLOW, "model.filters=aligned", "model.attention={se: {reduction: 4}}"],
    "spectral": ["model.filters=spectral"],
    "spectral, scan, resnet18": [*SHALLOW, "model.filters=spectral", "model.attention=scan"],
    "spectral, osnet": ["model.trunk=osnet", "model.width=0.5", "model.filters=spectral"],
    "aligned, osnet": ["model.trunk=osnet", "model.width=0.5", "model.filters=aligned"],
    "normLoss": ["normLoss.lambda=0.01"],
    "normLoss, ibn-a, resnet18": [*RESNET18_IBN, "normLoss.lambda=0.1"],
    "normLoss, osnet, baseline": ["model.trunk=osnet", "model.head=baseline", "normLoss.lambda=0.01"],
    "normLoss, every part": ["normLoss.lambda=0.02", "model.attention=se", *EVERY_HEAD],
    "normLoss, aligned": [*SHALLOW, "model.filters=aligned", "normLoss.lambda=0.01"],
}

EVERY = {**TRUNKS, **ATTENTION, **LOSSES, **HEADS, **WEIGHTS}

# MSGR at the input and all stages.
PLACED = {
    **{name: TRUNKS[name] for name in ("resnet18", "ibn-a", "se", "pixel, resnet18", "pixelChannel, ibn-a, resnet34", "osnet", "osnetAin")},
    **{name: HEADS[name] for name in ("max", "gem", "stripe", "channels of levels, gem", "camera, every part")},
    **{name: ATTENTION[name] for name in (
        "bam, reduction 3, resnet18", "apm", "gsam, odd, ibn-a, resnet18", "atac, ibn-a", "scan, last stride 1, resnet18",
        "decoupled", "dgdm, often, last stride 1", "decoupled, osnet")},
    **{name: HEADS[name] for name in ("norm bias, aligned", "pam of stages 2 and 4, own weights", "darn", "darn of stages 2 and 4, own weights", "groie beside levels, odd",
                                      "pool attention of levels", "topRows of bands and sources", "rankedList", "topRank",
                                      "entropy, additive")},
    **{name: WEIGHTS[name] for name in ("aligned", "aligned, osnet", "spectral", "normLoss")},
}
# MSGR at one place.
SINGLE = {name: HEADS[name] for name in ("heads on levels 2 and 4", "camera, every part", "pam", "darn", "groie")}
# MSGR with the other norms.
NORMED = {name: PLACED[name] for name in ("ibn-a", "se", "pixel, resnet18", "camera, every part", "osnetAin",
                                       "scan, last stride 1, resnet18", "decoupled", "dgdm, often, last stride 1",
                                       "pool attention of levels", "aligned")}

# Tensors of every kind, for adaptive L2.
EVERY_TENSOR = ["model.norm=ibn-a", "model.attention=se", *EVERY_HEAD]
GATES = ["model.attention=pixelChannel", *HEADS["gem"]]
