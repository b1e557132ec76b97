"""DeiT (arXiv 2012.12877, Table 1): ViT's structure in smaller sizes; these are the networks without distillation token."""

from __future__ import annotations

from costmodel.zoo.vit import Variant, declare

PAPER = "arXiv:2012.12877"
VARIANTS = {
    "deit-ti": Variant(16, 192, 12, 3),
    "deit-s": Variant(16, 384, 12, 6),
    "deit-b": Variant(16, 768, 12, 12),
}
#: timm's uniform evaluation: (weights, top-1) at 224.
_TIMM_TOP1 = {
    "deit-ti": ("deit_tiny_patch16_224.fb_in1k", 72.190),
    "deit-s": ("deit_small_patch16_224.fb_in1k", 79.856),
    "deit-b": ("deit_base_patch16_224.fb_in1k", 81.980),
}

ARCHITECTURES = tuple(declare(name, variant, family="deit", paper=PAPER, year=2020, top1=_TIMM_TOP1[name]) for name, variant in VARIANTS.items())
