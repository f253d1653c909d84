"""The decoder: at every position the next token. Causal, pre-norm with a norm at the end, no pooling."""

from .embedding import onehot
from .loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .model import transformer_backward, transformer_forward


def decoder_forward(p, tokens, targets, *, num_heads, norm="pre", pad_id=0, **settings):
    """Mean cross-entropy over the targets that are not padding. Returns loss, saved.

    tokens, targets (B, T): targets are the tokens one step later.
    """
    z, of_model = transformer_forward(
        p, tokens, num_heads=num_heads, norm=norm, causal=True, pooling=None, pad_id=pad_id, **settings
    )                                                                   # (B, T, V)
    y = onehot(targets, z.shape[-1])
    w = (targets != pad_id).astype(float)                               # padding counts for nothing
    return softmax_cross_entropy_forward(z, y, w), (z, y, w, of_model)


def decoder(p, tokens, targets, **settings):
    """The loss, and the gradient of each parameter, a dict like p."""
    loss, (z, y, w, of_model) = decoder_forward(p, tokens, targets, **settings)
    dz = softmax_cross_entropy_backward(z, y, w)
    return loss, transformer_backward(dz, p, of_model)
