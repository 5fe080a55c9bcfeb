"""Imports that a CPU build may have: memory, mathematics and OpenMP, nothing else of its process.

A build that can look up symbols, start threads, open files or call Python could cheat. It could leave its work to the
baseline, do it outside the timed call, or change the clock. It is refused before it is loaded, since loading already
runs its code.
"""

from __future__ import annotations

import re

from evotune_workers.compilers.imports import Import, read_imports

# Everything in the mathematics library, in the compilers' own run-time libraries and in OpenMP, except offloading:
# its tasks may outlive the call.
LIBRARIES = re.compile(r"lib(?:m|mvec|gcc_s|g?omp|iomp5|atomic)\.so")
OFFLOADING = re.compile(r"GOMP_target|omp_target|__tgt_")
# C library: memory, and the symbols that compilers insert themselves.
C_LIBRARY = re.compile(
    r"(?:__)?mem(?:cpy|move|set|cmp)(?:_chk)?|[mc]alloc|realloc|free|aligned_alloc|posix_memalign|abort|qsort"
    r"|__stack_chk_fail|__assert_fail|__cxa_(?:atexit|finalize)|__tls_get_addr"
    r"|__gmon_start__|_ITM_(?:de)?registerTMCloneTable"
)
# C++ library: new and delete, exceptions, guards of static variables, and helpers of the containers.
CPLUSPLUS_LIBRARY = re.compile(
    r"_Zn[wa]|_Zd[la]|__cxa_(?:guard|begin_catch|end_catch|rethrow|throw|allocate_exc|free_exc|pure_virtual)"
    r"|__gxx_personality|_ZTVN10__cxxabiv1|_ZT[IVS](?:St|N)|_ZSt\d+(?:__throw_|_Rb_tree_)|_ZSt9terminatev"
    r"|_ZNK?St(?:8__detail|7__cxx1112basic_stringIc|9exception|9bad_alloc|20bad_array_new_length)"
    r"|_ZNK?St\d\d(?:logic|domain|length|range|runtime|overflow|underflow)_error|_ZNK?St1\d(?:invalid_arg|out_of_range)"
)


def forbidden_import(binary: bytes) -> str | None:
    """Return the reason why a shared library may not be loaded, or None if it may."""
    try:
        imports = read_imports(binary)
    except ValueError as error:
        return str(error)
    forbidden = sorted(symbol.name for symbol in imports if not _is_allowed(symbol))
    if not forbidden:
        return None
    named = ", ".join(forbidden[:3]) + (" and others" if len(forbidden) > 3 else "")
    return f"a build may use nothing but memory, mathematics and OpenMP of other libraries, it uses {named}"


def _is_allowed(symbol: Import) -> bool:
    if C_LIBRARY.fullmatch(symbol.name) or CPLUSPLUS_LIBRARY.match(symbol.name):
        return True
    return bool(symbol.library and LIBRARIES.match(symbol.library)) and not OFFLOADING.match(symbol.name)
