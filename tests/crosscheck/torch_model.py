"""The transformer once more, in PyTorch: written from the papers and the layout of the weights, by name."""

import torch
import torch.nn.functional as F

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


def sinusoids(T, D):
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same)."""
    table = torch.zeros(T, D, dtype=torch.float64)
    for i in range(0, D, 2):
        turn = torch.arange(T, dtype=torch.float64) / 10000.0 ** (i / D)
        table[:, i] = torch.sin(turn)
        if i + 1 < D:
            table[:, i + 1] = torch.cos(turn)
    return table


def rotated(x):  # (B, H, T, d)
    """Each pair of numbers is one complex number, turned by its position."""
    T, d = x.shape[-2:]
    turn = torch.arange(T)[:, None] / 10000.0 ** (torch.arange(0, d, 2, dtype=torch.float64) / d)
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], d // 2, 2).contiguous())
    unit = torch.polar(torch.ones_like(turn), turn).to(z.dtype)
    return torch.view_as_real(z * unit).reshape(x.shape)


def distances(T, H):
    """ALiBi: what H heads add to the scores, (H, T, T)."""
    steps = (torch.arange(T)[:, None] - torch.arange(T)[None, :]).abs().double()
    return torch.stack([-steps * 2.0 ** (-8.0 * (h + 1) / H) for h in range(H)])


def attention(x, w, config, allowed):  # (B, T, D), (B, H, T, T)
    B, T, D = x.shape
    q, k, v = (
        part.reshape(B, T, config.num_heads, -1).transpose(1, 2)
        for part in (x @ w["qkv.weight"] + w.get("qkv.bias", 0.0)).split(D, dim=-1)
    )
    if config.positions == "rotary":
        q, k = rotated(q), rotated(k)
    scores = q @ k.mT / (D // config.num_heads) ** 0.5
    if config.positions == "alibi":
        scores = scores + distances(T, config.num_heads)
    scores = scores.masked_fill(~allowed, -torch.inf)
    weights = torch.softmax(scores, dim=-1).masked_fill(~allowed.any(-1, keepdim=True), 0.0)
    return (weights @ v).transpose(1, 2).reshape(B, T, D) @ w["output.weight"] + w.get("output.bias", 0.0)


def feed_forward(x, w, config):
    hidden = x @ w["up.weight"] + w["up.bias"]
    if config.gated:
        hidden = ACTIVATIONS[config.activation](x @ w["gate.weight"] + w["gate.bias"]) * hidden
    else:
        hidden = ACTIVATIONS[config.activation](hidden)
    return hidden @ w["down.weight"] + w["down.bias"]


def norm(x, w, config):
    if config.norm_kind == "rms":
        return F.rms_norm(x, x.shape[-1:], w["weight"], config.norm_eps)
    return F.layer_norm(x, x.shape[-1:], w["weight"], w["bias"], config.norm_eps)


def block(x, w, config, allowed):
    def attend(x):
        return attention(x, under(w, "attention"), config, allowed)

    def feed(x):
        return feed_forward(x, under(w, "feed_forward"), config)

    first, second = under(w, "norm1"), under(w, "norm2")
    if config.norm == "post":
        x = norm(x + attend(x), first, config)
        return norm(x + feed(x), second, config)
    x = x + attend(norm(x, first, config))
    return x + feed(norm(x, second, config))


def pooled(x, valid, how):
    if how is None:
        return x
    if how == "first":
        return x[:, 0]
    rows = [x[b][valid[b]] for b in range(len(x))]
    return torch.stack([{"last": r[-1], "mean": r.mean(0), "max": r.amax(0)}[how] for r in rows])


def forward(config, weights, tokens, mask=None):
    """Logits; weights by their dotted names, tokens (B, T), mask boolean or None."""
    B, T = tokens.shape
    valid = torch.ones(B, T, dtype=torch.bool) if config.pad_id is None else tokens != config.pad_id
    allowed = valid[:, None, None, :].expand(B, config.num_heads, T, T)
    if config.causal:
        allowed = allowed & torch.ones(T, T, dtype=torch.bool).tril()
    if mask is not None:
        allowed = allowed & mask
    x = weights["embedding.weight"][tokens]
    if config.positions == "sinusoidal":
        x = x + sinusoids(T, config.embed_dim).to(x.dtype)
    elif config.positions == "learned":
        x = x + weights["positions.weight"][:T]
    for i in range(config.num_layers):
        x = block(x, under(weights, f"blocks.{i}"), config, allowed)
    if config.norm == "pre":
        x = norm(x, under(weights, "norm"), config)
    x = pooled(x, valid, config.pooling)
    out = weights["embedding.weight"].T if config.tie_embeddings else weights["output.weight"]
    return x @ out + weights["output.bias"]


def under(weights, prefix):
    """The weights below a name, by the rest of their names."""
    return {name[len(prefix) + 1 :]: w for name, w in weights.items() if name.startswith(prefix + ".")}
