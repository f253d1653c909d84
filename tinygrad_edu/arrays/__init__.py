"""Arrays of other libraries, as the engine and its rules see them.

The rules are plain NumPy functions, and NumPy lets other arrays answer them: by `__array_ufunc__` and
`__array_function__`. `Foreign` is such an answer. It holds an array of CuPy, of Dask, or of a library that follows the
Python array API standard, and runs each NumPy function as that library's own. So a Tensor, a rule, a whole transformer
run on it unchanged. NumPy's own arrays are not wrapped, and never come by here.

    foreign     the adapter: what an ndarray answers, asked of another library
    library     one library: which of its functions stands for one of NumPy's, and which arrays may meet
    gaps        what a library lacks, said by functions that it has: creation, adding up at places, and the like
    standard    names and promotion of the array API standard; `lazy` Dask's
    known       the libraries that are known by name; `numpys` one more, for tests
    lacking     which operations each of them cannot do, and why
"""

from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.arrays.known import adopted, beside, home, library_for, library_of, moved, refuse_mixed

__all__ = ["Foreign", "adopted", "beside", "home", "library_for", "library_of", "moved", "refuse_mixed"]
