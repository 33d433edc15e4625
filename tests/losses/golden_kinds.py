"""The cases of the reference numbers, each kind as a call of the losses.

A function takes the arrays of a case and its hyper-parameters and returns the scalar (or the
vector over epochs) called `loss` there and a dict of further outputs.
"""

import jax
import jax.numpy as jnp

from jaxcmr import losses


def _pair_contrast(x, hp):
    modalities = hp.get("num_modalities", 2)
    features = x["features"].reshape(modalities, -1, x["features"].shape[-1])
    return losses.multimodal_contrastive(features, temperature=hp["temperature"]).mean(), {}


def _numbered(x, name):
    return jnp.stack([x[key] for key in sorted(x) if key.startswith(f"{name}_")])


def _mrl_mc(x, hp):
    features = _numbered(x, "features")
    values = losses.multimodal_contrastive(features, temperature=hp["tau"], normalize=False)
    return values.mean(), {}


def _mrl_rc(x, hp):
    return losses.robust_clustering(x["logits"] / hp["tau"], x["labels"]).mean(), {}


def _mrl_total(x, hp):
    features, labels = _numbered(x, "features"), _numbered(x, "labels")
    logits = jnp.matmul(features, x["centers"], precision="highest") / hp["tau"]
    rc = losses.robust_clustering(logits, labels).mean(1)
    mc, _ = _mrl_mc(x, hp)
    total = hp["beta"] * rc.sum() + (1 - hp["beta"]) * mc
    return total, {"part_rc_per_modality": rc, "part_mc": mc}


def _rdc(features, labels, centers, hp):
    def at(epoch):
        ramp = losses.warmup_ramp(epoch, hp["warm_up"])
        values = losses.robust_center(
            features,
            labels,
            centers,
            ramp=ramp,
            tau1=hp["tau1"],
            tau2=hp["tau2"],
            margin=hp["margin"],
        )
        return values.mean(), ramp

    return jax.vmap(at)(jnp.asarray(hp["epochs"]))


def _rono_rdc(x, hp):
    loss, ramp = _rdc(x["features"], x["labels"], x["centers"], hp)
    return loss, {"v": ramp}


def _crc(x, hp):
    return hp["scale"] * losses.mean_absolute_error(x["logits"], x["labels"]).mean(), {}


def _rono_total(x, hp):
    features = jnp.stack([x["features_img"], x["features_pt"]])
    logits = jnp.stack([x["logits_img"], x["logits_pt"]])
    labels = jnp.stack([x["labels"]] * 2)
    crc = hp["scale"] * losses.mean_absolute_error(logits, labels).mean(1).sum()
    rows = features.reshape(-1, features.shape[-1])
    rdc, _ = _rdc(rows, labels.reshape(-1), x["centers"], hp)
    pair = losses.multimodal_contrastive(features, temperature=hp["temperature"]).mean()
    total = hp["weight_crc"] * crc + hp["weight_rdc"] * rdc + hp["weight_mg"] * pair
    return total, {"part_crc": crc, "part_rdc": rdc, "part_mg": pair}


def _rcll(x, hp):
    clip = 0.0 if hp["clip"] == "none" else None
    return losses.robust_concentrating(x["logits"], x["labels"], alpha=hp["alpha"], clip=clip)


def _rcll_case(x, hp):
    values = _rcll(x, hp)
    return values.mean(), {"per_sample": values}


def _romo_total(x, hp):
    logits, labels = _numbered(x, "logits"), _numbered(x, "labels")
    rcll = _rcll({"logits": logits, "labels": labels}, hp).mean(1)
    features = _numbered(x, "features")
    pair = losses.multimodal_contrastive(features, temperature=hp["temperature"]).mean()
    total = hp["weight_rcll"] * rcll.sum() + hp["weight_mlm"] * pair
    return total, {"part_rcll_per_modality": rcll, "part_mlm": pair}


def _focal(x, hp):
    values = losses.focal(x["logits"], x["labels"], gamma=hp.get("gamma", 2.0))
    return values.mean(), {"per_sample": values, "loss_sum": values.sum()}


def _nrcl_centre(x, hp):
    values = losses.center_classification(
        x["features"], x["labels"], x["centers"], temperature=hp["temperature"]
    )
    return (values * x.get("weight", jnp.ones(values.shape, values.dtype))).mean(), {}


def _prior_penalty(x, hp):
    mean = jax.nn.softmax(x["logits"]).mean(0)
    return losses.class_prior_penalty(x["logits"]), {"mean_prediction": mean}


def _nrcl_cls(x, hp):
    parts = {}
    for view in ("img", "pt", "joint"):
        logits = x[f"logits_{view}"]
        penalty = losses.class_prior_penalty(logits)
        values = losses.soft_focal(logits, x["targets"], gamma=hp["gamma"])
        parts[f"part_{view}"] = values.mean() + penalty
        parts[f"part_penalty_{view}"] = penalty
    total = (parts["part_img"] + parts["part_pt"] + 2 * parts["part_joint"]) / 2
    return total, parts


def _pairs(x):
    other = "features_txt" if "features_txt" in x else "features_pt"
    return jnp.stack([x["features_img"], x[other]])


def _cmp(x, hp):
    values = losses.cross_modal_margin(_pairs(x), margin=hp["margin"], normalize=False)
    return values.mean(), {}


def _nirnl(kind):
    def case(x, hp):
        logits = jnp.matmul(_pairs(x), x["barycenters"].T, precision="highest")
        consensus = losses.consensus(logits)
        if kind == "pure":
            values = losses.pure_label_loss(logits, x["labels"])
        elif kind == "hard":
            values = losses.hard_label_loss(logits, x["labels"])
        else:
            values = losses.noisy_label_loss(logits)
        margin, _ = _cmp(x, hp)
        return hp["lamda"] * values.mean() + hp["alpha"] * margin, {
            "part_label": values.mean(),
            "part_cmp": margin,
            "weight": jnp.sum(consensus * x["labels_onehot"], axis=-1),
            "pseudo_labels": jnp.argmax(consensus, axis=-1),
        }

    return case


def _classifier(values_of):
    def case(x, hp):
        values = values_of(x["logits"], x["labels"], hp)
        return values.mean(), {"per_sample": values}

    return case


def _supervised(loss):
    def case(x, hp):
        values = loss(_pairs(x), x["labels"], temperature=hp["temperature"])
        return values.mean(), {"per_anchor": values.reshape(-1)}

    return case


KINDS = {
    "mg": _pair_contrast,
    "mrl_mc": _mrl_mc,
    "mrl_rc": _mrl_rc,
    "mrl_total": _mrl_total,
    "rono_rdc": _rono_rdc,
    "crc": _crc,
    "rono_total": _rono_total,
    "rcll_plain": _rcll_case,
    "rcll_clip": _rcll_case,
    "romo_total": _romo_total,
    "focal": _focal,
    "nrcl_centre": _nrcl_centre,
    "prior_penalty": _prior_penalty,
    "nrcl_cls": _nrcl_cls,
    "cmp": _cmp,
    "nirnl_pure": _nirnl("pure"),
    "nirnl_hard": _nirnl("hard"),
    "nirnl_noisy": _nirnl("noisy"),
    "ce": _classifier(lambda z, y, hp: losses.cross_entropy(z, y)),
    "mae_reduced": _classifier(lambda z, y, hp: losses.mean_absolute_error(z, y)),
    "mae_full": _classifier(lambda z, y, hp: 2 * losses.mean_absolute_error(z, y)),
    "gce": _classifier(lambda z, y, hp: losses.generalized_cross_entropy(z, y, q=hp["q"])),
    "sce": _classifier(
        lambda z, y, hp: losses.symmetric_cross_entropy(
            z, y, alpha=hp["alpha"], beta=hp["beta"], log_zero=hp["A"]
        )
    ),
    "label_smoothing": _classifier(
        lambda z, y, hp: losses.label_smoothing(z, y, epsilon=hp["epsilon"])
    ),
    "supcon_all": _supervised(losses.supervised_contrastive),
    "supcon_cross": _supervised(losses.cross_modal_supervised_contrastive),
}
# Neighbour labels are beliefs, not losses; which rows are clipped shows in the gradient.
OTHER_KINDS = {"nirnl_knn"}
NOT_A_VALUE = {"clipped_rows"}
