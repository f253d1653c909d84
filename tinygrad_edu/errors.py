"""What can go wrong, as a tree. Every message says what, with which shapes or values, where, and what to do.

    AutodiffError
    ├── ShapeError             (ValueError)    shapes that do not fit, or would blow up by accident
    ├── ArgumentError          (ValueError)    an option that the operation does not take
    ├── RangeError             (IndexError)    an index, an id or a target that is not there
    ├── MatrixError            (LinAlgError)   a matrix that is singular, or not what the function is about
    ├── DtypeError             (TypeError)     integers that want gradients, complex or object data
    ├── MixedError             (TypeError)     arrays of several libraries in one operation
    ├── UnsupportedError       (TypeError)     no derivative rule for this function, argument or keyword
    │   └── AbsentError        (AttributeError)  a member of ndarray that a tensor has not, and why
    ├── LostGradientError      (TypeError)     float(), bool(), np.asarray() on a tracked tensor
    ├── ItemAssignmentError    (TypeError)     x[i] = y on a tensor
    ├── NotTrackedError        (RuntimeError)  a gradient is asked of something that was not recorded
    ├── FreedGraphError        (RuntimeError)  a second backward over a graph that was let go
    ├── MutationError          (RuntimeError)  a saved array was changed between forward and backward
    ├── CotangentError         (ValueError)    a cotangent of the wrong shape or dtype, or none where one is needed
    ├── TooLargeError          (MemoryError)   a result that would not fit in memory
    ├── NonFiniteError         (ArithmeticError)  under detect_anomaly(): the first NaN or inf
    └── RuleError              (RuntimeError)  a derivative rule broke its promise (shape, dtype, count)

Each also is the exception in brackets, so code that knows nothing of this package can catch it.
"""

import numpy as np

__all__ = [
    "AbsentError",
    "ArgumentError",
    "AutodiffError",
    "CotangentError",
    "DtypeError",
    "FreedGraphError",
    "ItemAssignmentError",
    "LostGradientError",
    "MatrixError",
    "MixedError",
    "MutationError",
    "NonFiniteError",
    "NotTrackedError",
    "RangeError",
    "RuleError",
    "ShapeError",
    "TooLargeError",
    "UnsupportedError",
]


class AutodiffError(Exception):
    """The root: everything this package raises on purpose."""


class ShapeError(AutodiffError, ValueError):
    """Shapes do not fit together."""


class ArgumentError(AutodiffError, ValueError):
    """An option has a value that the operation does not take."""


class RangeError(AutodiffError, IndexError):
    """An index, an id or a target points at nothing, or is no index."""


class MatrixError(AutodiffError, np.linalg.LinAlgError):
    """A matrix is singular, or not square, or not positive definite, where it has to be."""


class DtypeError(AutodiffError, TypeError):
    """Data of a kind that has no gradient: integer, boolean, complex, object."""


class MixedError(AutodiffError, TypeError):
    """Arrays that lie in different places, a GPU and main memory say, in one operation."""


class UnsupportedError(AutodiffError, TypeError):
    """No derivative rule exists for this function, this argument or this keyword."""


class AbsentError(UnsupportedError, AttributeError):
    """A Tensor leaves this member of ndarray out on purpose."""


class LostGradientError(AutodiffError, TypeError):
    """A conversion would have cut a tracked tensor off its graph without a word."""


class ItemAssignmentError(AutodiffError, TypeError):
    """Tensors are values; they have no item assignment."""


class NotTrackedError(AutodiffError, RuntimeError):
    """A gradient was asked of, or for, a tensor that is not part of a recorded graph."""


class FreedGraphError(AutodiffError, RuntimeError):
    """The graph was already walked backward and its saved arrays were let go."""


class MutationError(AutodiffError, RuntimeError):
    """An array that a rule needs was changed after the forward pass saved it."""


class CotangentError(AutodiffError, ValueError):
    """The upstream gradient is missing, or has the wrong shape or dtype."""


class TooLargeError(AutodiffError, MemoryError):
    """A result would not fit in memory; refused before the allocation."""


class NonFiniteError(AutodiffError, ArithmeticError):
    """Under detect_anomaly(): an operation or a rule made a NaN or inf from finite numbers."""


class RuleError(AutodiffError, RuntimeError):
    """A derivative rule returned something of the wrong shape, dtype or kind."""
