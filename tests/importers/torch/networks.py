"""Networks of timm, torchvision and pytorchcv that the import is tried on, by family; `python -m tests.benchmarks.coverage` tries all of them."""

from __future__ import annotations

#: Kind -> family -> models. The first of each family is tried by the tests, all by the benchmark.
NETWORKS: dict[str, dict[str, tuple[str, ...]]] = {
    "convolutional": {
        "alexnet": ("torchvision:alexnet",),
        "vgg": ("timm:vgg11", "torchvision:vgg16_bn"),
        "googlenet": ("torchvision:googlenet",),
        "inception": ("timm:inception_v3", "timm:inception_v4", "timm:inception_resnet_v2"),
        "resnet": ("torchvision:resnet18", "timm:resnet50", "timm:resnetblur50"),
        "resnetv2": ("timm:resnetv2_50", "timm:resnetv2_50x1_bit"),
        "resnext": ("timm:resnext50_32x4d",),
        "wide-resnet": ("torchvision:wide_resnet50_2",),
        "se-resnet": ("timm:seresnet50", "timm:legacy_senet154"),
        "eca-resnet": ("timm:ecaresnet26t",),
        "sk-resnet": ("timm:skresnet18",),
        "resnest": ("timm:resnest14d",),
        "gc-resnet": ("timm:gcresnet33ts",),
        "res2net": ("timm:res2net50d",),
        "densenet": ("torchvision:densenet121", "timm:rdnet_tiny"),
        "dpn": ("timm:dpn68",),
        "dla": ("timm:dla34",),
        "hrnet": ("timm:hrnet_w18_small", "timm:hrnet_w18"),
        "cspnet": ("timm:cspresnet50", "timm:cs3darknet_s", "timm:darknet53"),
        "vovnet": ("timm:vovnet39a",),
        "selecsls": ("timm:selecsls42b",),
        "xception": ("timm:legacy_xception", "timm:xception41"),
        "regnet": ("timm:regnetx_002", "timm:regnety_002", "torchvision:regnet_y_400mf"),
        "gernet": ("timm:gernet_s",),
        "repvgg": ("timm:repvgg_a0",),
        "mobileone": ("timm:mobileone_s0",),
        "tresnet": ("timm:tresnet_m",),
        "hgnet": ("timm:hgnet_tiny",),
        "nfnet": ("timm:nfnet_l0", "timm:dm_nfnet_f0", "timm:eca_nfnet_l0", "timm:nf_regnet_b0"),
        "squeezenet": ("torchvision:squeezenet1_1",),
        "shufflenet": ("torchvision:shufflenet_v2_x0_5",),
        "convnext": ("timm:convnext_atto", "timm:convnextv2_atto", "torchvision:convnext_tiny"),
        "inception-next": ("timm:inception_next_atto",),
        "convmixer": ("timm:convmixer_768_32",),
        "starnet": ("timm:starnet_s1",),
        "segmentation": ("torchvision:segmentation.lraspp_mobilenet_v3_large", "torchvision:segmentation.deeplabv3_resnet50"),
    },
    "inverted bottlenecks and searched cells": {
        "mobilenet": ("timm:mobilenetv2_035", "timm:mobilenetv1_100", "timm:tf_mobilenetv3_small_minimal_100", "timm:mobilenetv4_conv_small"),
        "mnasnet": ("timm:mnasnet_small", "torchvision:mnasnet0_5"),
        "efficientnet": ("timm:tf_efficientnet_b0", "torchvision:efficientnet_v2_s"),
        "tinynet": ("timm:tinynet_e",),
        "fbnet": ("timm:fbnetc_100",),
        "hardcorenas": ("timm:hardcorenas_a",),
        "mixnet": ("timm:mixnet_s",),
        "lcnet": ("timm:lcnet_050",),
        "rexnet": ("timm:rexnet_100",),
        "ghostnet": ("timm:ghostnet_050", "timm:ghostnetv2_100", "timm:repghostnet_050"),
        "repvit": ("timm:repvit_m0_9",),
        "nasnet": ("timm:nasnetalarge", "timm:pnasnet5large"),
    },
    "plain attention": {
        "vit": ("timm:vit_tiny_patch16_224", "torchvision:vit_b_16", "timm:eva02_tiny_patch14_224"),
        "deit": ("timm:deit3_small_patch16_224",),
        "beit": ("timm:beit_base_patch16_224",),
        "cait": ("timm:cait_xxs24_224",),
        "crossvit": ("timm:crossvit_tiny_240",),
        "convit": ("timm:convit_tiny",),
        "pit": ("timm:pit_ti_224",),
        "tnt": ("timm:tnt_s_legacy_patch16_224",),
        "volo": ("timm:volo_d1_224",),
        "visformer": ("timm:visformer_tiny",),
        "hiera": ("timm:hiera_tiny_224",),
        "mvit": ("timm:mvitv2_tiny",),
        "pvt": ("timm:pvt_v2_b0",),
    },
    "attention in windows": {
        "swin": ("timm:swin_tiny_patch4_window7_224", "torchvision:swin_t"),
        "swin-v2": ("timm:swinv2_tiny_window8_256", "torchvision:swin_v2_t", "timm:swinv2_cr_tiny_224"),
        "twins": ("timm:twins_svt_small", "timm:twins_pcpvt_small"),
        "nest": ("timm:nest_tiny",),
        "gcvit": ("timm:gcvit_xxtiny",),
        "davit": ("timm:davit_tiny",),
        "maxvit": ("timm:maxvit_nano_rw_256", "torchvision:maxvit_t"),
        "focalnet": ("timm:focalnet_tiny_srf",),
    },
    "linear and cross-covariance attention": {
        "efficientvit": ("timm:efficientvit_b0", "timm:efficientvit_m0"),
        "xcit": ("timm:xcit_nano_12_p8_224",),
        "edgenext": ("timm:edgenext_xx_small",),
        "lambda": ("timm:lambda_resnet26t",),
        "shvit": ("timm:shvit_s1",),
    },
    "mixers": {
        "mlp-mixer": ("timm:mixer_s32_224",),
        "resmlp": ("timm:resmlp_12_224",),
        "gmlp": ("timm:gmlp_s16_224",),
        "poolformer": ("timm:poolformerv2_s12",),
        "sequencer": ("timm:sequencer2d_s",),
    },
    "hybrids": {
        "coat": ("timm:coat_lite_tiny",),
        "coatnet": ("timm:coatnet_0_224",),
        "mobilevit": ("timm:mobilevit_xxs", "timm:mobilevitv2_050"),
        "efficientformer": ("timm:efficientformer_l1", "timm:efficientformerv2_s0"),
        "fastvit": ("timm:fastvit_t8",),
        "tiny-vit": ("timm:tiny_vit_5m_224",),
        "nextvit": ("timm:nextvit_small",),
        "levit": ("timm:levit_128s",),
        "vitamin": ("timm:vitamin_small_224",),
        "botnet": ("timm:botnet26t_256", "timm:sebotnet33ts_256", "timm:bat_resnext26ts"),
    },
}


#: What some need to be built without a warning or a download.
OPTIONS: dict[str, dict[str, object]] = {
    "torchvision:googlenet": {"aux_logits": False, "init_weights": False},
    "torchvision:segmentation.lraspp_mobilenet_v3_large": {"weights_backbone": None},
    "torchvision:segmentation.deeplabv3_resnet50": {"weights_backbone": None},
    "torchvision:vgg16_bn": {"init_weights": False},
}


def tried() -> list[tuple[str, str, str]]:
    """(kind, family, model) of every network above."""
    return [(kind, family, model) for kind, families in NETWORKS.items() for family, models in families.items() for model in models]


def input_shape(name: str, network: object) -> tuple[int, int, int, int]:
    """The image that a network is made for."""
    size = getattr(network, "default_cfg", {}).get("input_size", (3, 224, 224))
    return (1, *size)  # type: ignore[return-value]  # three sizes
