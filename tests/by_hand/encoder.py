"""The lessons' encoder: a whole sequence in, one answer out. Post-norm, pooled, padding masked."""

from .embedding import onehot
from .loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .model import transformer_backward, transformer_forward


def encoder_forward(p, tokens, targets, *, num_heads, pooling="first", **settings):
    """Mean cross-entropy of the answers. tokens (B, T), targets (B,). Returns loss, saved."""
    z, of_model = transformer_forward(p, tokens, num_heads=num_heads, pooling=pooling, **settings)  # (B, V)
    y = onehot(targets, z.shape[-1])
    return softmax_cross_entropy_forward(z, y), (z, y, of_model)


def encoder(p, tokens, targets, **settings):
    """The loss, and the gradient of each parameter, a dict like p."""
    loss, (z, y, of_model) = encoder_forward(p, tokens, targets, **settings)
    dz = softmax_cross_entropy_backward(z, y)                                                       # (p − y)/B
    return loss, transformer_backward(dz, p, of_model)
