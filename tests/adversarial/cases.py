"""The table of the adversarial suite: every fault, and the gate and the reason that must refuse it.

`python -m tests.adversarial.page` writes the table into docs/adversarial.md.
"""

from __future__ import annotations

from .case import Absent, Case, Group, Refusal, both
from .cases_timing import TIMING

NO_HOST_CODE = Absent("a cubin contains device code only")
LAUNCHES_NOTHING = Absent("a CPU variant launches nothing")
NAN = "are NaN"
ONE_HOT = "one_hot: difference must be"
TOO_WRONG = "error must be <="
ILLEGAL = "illegal memory access"
FOREIGN = "nothing but memory, mathematics and OpenMP of other libraries, it uses"
OUTSIDE = "nothing outside the buffers may be touched"
AS_LONG = "must take as long as others"
SHARED_BUFFERS = "with another input at the same addresses in between"

GROUPS = (
    Group(
        "Output",
        (
            both("writes_nothing", "returns at once", "memory", NAN),
            both("writes_nan", "writes NaN everywhere", "memory", NAN),
            both("one_infinity", "writes one infinity, the rest is right", "memory", "1 are infinite"),
        ),
    ),
    Group(
        "No attention at all",
        (
            both("copies_v", "copies V", "structure", ONE_HOT),
            both("mean_of_v", "returns the mean of V for any Q and K", "structure", ONE_HOT),
            both("constant", "returns a constant", "structure", ONE_HOT),
        ),
    ),
    Group(
        "Indexing",
        (
            both("k_and_v_swapped", "takes V for K and K for V", "structure", ONE_HOT),
            both("q_read_as_k", "reads Q in the place of K", "structure", ONE_HOT),
            both("heads_permuted", "uses K and V of the next head", "structure", ONE_HOT),
            both("first_head_for_all", "uses K and V of head 0 for all heads", "structure", ONE_HOT),
            Case(
                "wrong_batch_stride",
                "uses the number of queries as the stride of the keys' heads",
                Refusal("tails", TOO_WRONG),
                Refusal("memory", ILLEGAL),
            ),
            both("last_tile_dropped", "omits the last tile of keys", "structure", ONE_HOT),
            both("last_key_dropped", "omits the last key", "structure", ONE_HOT),
            both("first_key_twice", "counts the first key twice", "structure", "uniform_scores: difference must be"),
        ),
    ),
    Group(
        "Softmax and mask",
        (
            both("not_rescaled", "does not rescale the output when the maximum grows", "structure", ONE_HOT),
            both("no_maximum", "subtracts no maximum", "structure", "got nan"),
            Case(
                "maximum_of_another_row",
                "subtracts another row's maximum",
                Refusal("numerics", "got nan"),
                Refusal("structure", "got nan"),
            ),
            both("causal_always", "always applies the causal mask", "structure", ONE_HOT),
            both("causal_never", "never applies the causal mask", "tails", TOO_WRONG),
            both("causal_off_by_one", "lets each query see one key too many", "tails", TOO_WRONG),
            both("scale_times_ln_2", "multiplies the scale by ln 2", "numerics", TOO_WRONG),
            both("scale_times_sqrt_2", "multiplies the scale by the root of 2", "numerics", TOO_WRONG),
        ),
    ),
    Group(
        "Precision",
        (
            both("weights_in_8_bits", "rounds the weights to 8 bits", "numerics", TOO_WRONG),
            both("fp16_accumulators", "sums the output in FP16", "structure", "constant_value: difference must be"),
            both("v_of_the_previous_stage", "uses, in one row, V of the previous stage", "structure", ONE_HOT),
        ),
    ),
    Group(
        "Order and state",
        (
            Case(
                "race",
                "has no barrier around the tiles in shared memory",
                Absent("CPU threads share no tile; `wrong_once_in_50` replaces it"),
                # The gate that sees a race first is a matter of chance; the random inputs of numerics show it at last.
                Refusal("numerics", "max error must be", earlier_gates=("memory", "structure")),
            ),
            both("wrong_once_in_50", "is wrong in one of 50 launches", "repeatability", "must give the same bits"),
            both(
                "counter_not_reset",
                "does not reset its work counter, so that only the first call is right",
                "memory",
                NAN,
            ),
            both(
                "last_worker_skips_its_tail",
                "omits the tasks that remain after an even division among workers",
                "memory",
                NAN,
            ),
        ),
    ),
    Group(
        "Hangs, crashes or exits",
        (
            both("deadlock", "has a producer and a consumer that wait for each other", "launch", "hung"),
            both("endless_loop", "never ends", "launch", "hung"),
            Case("crash", "writes to address 8", Refusal("launch", "SIGSEGV"), Refusal("launch", ILLEGAL)),
            both(
                "workspace_of_a_petabyte",
                "requests a larger workspace than there is memory",
                "launch",
                "a workspace of",
            ),
            Case(
                "allocates_an_exabyte",
                "allocates more memory than there is",
                Refusal("launch", "bad_alloc"),
                Refusal("launch", ILLEGAL),
            ),
            Case(
                "exits",
                "ends its process or its threads without an error and without a result",
                Refusal("launch", "exit code 0 without an answer"),
                Refusal("memory", NAN),
            ),
            Case(
                "result_of_an_earlier_trial",
                "reads a result that an earlier trial wrote to a file",
                Refusal("identity", f"{FOREIGN} fopen"),
                NO_HOST_CODE,
            ),
        ),
    ),
    Group(
        "Memory",
        (
            Case(
                "writes_past_the_output",
                "writes 16 bytes past the output",
                Refusal("memory", OUTSIDE),
                Refusal("memory", ILLEGAL),
            ),
            Case("reads_past_k", "reads 16 bytes past K", Refusal("memory", OUTSIDE), Refusal("memory", ILLEGAL)),
            both("overwrites_q", "overwrites Q", "memory", "inputs must not change, got [True, False, False]"),
            both("other_strides", "writes an output with other strides", "structure", ONE_HOT),
        ),
    ),
    Group(
        "Caches results, or is right for some inputs only",
        (
            both("keeps_by_address", "caches results by the address of Q", "repeatability", SHARED_BUFFERS),
            both("keeps_by_content", "caches results by the content of all inputs", "timing", AS_LONG),
            Case(
                "keeps_by_fingerprint",
                "caches results by 16 bytes of each input",
                Refusal("timing", AS_LONG),
                Refusal("timing", ""),
            ),
            both(
                "skips_a_written_output", "does nothing if there is an output already", "repeatability", SHARED_BUFFERS
            ),
            both("works_once", "works once and then does nothing", "memory", NAN),
            both("right_ten_times", "is right ten times and then wrong", "numerics", TOO_WRONG),
            Case(
                "idle_when_timed",
                "does nothing after the gates have passed",
                Refusal("timing", "other bits than the one checked"),
                Refusal("timing", ""),
            ),
            both("right_for_one_input", "is right for the inputs of one seed only", "numerics", TOO_WRONG),
            both("right_at_one_shape", "is right at the workload's shape only", "tails", TOO_WRONG),
            both("wrong_on_new_seeds", "is wrong on inputs that no trial has used", "confirm", "numerics: "),
        ),
    ),
    TIMING,
    Group(
        "Launch",
        (
            Case(
                "more_kernels",
                "launches a second kernel, on a stream of its own",
                LAUNCHES_NOTHING,
                Refusal("build", "requires separate compilation mode"),
            ),
            Case(
                "first_node_works_for_all",
                "does all of a graph's work in its first node",
                Absent("a CPU has no graphs; `faster_than_the_roofline` is similar"),
                Refusal("timing", "on the same buffers as the one before"),
            ),
            Case(
                "shared_memory_over_the_limit",
                "requests 1 MiB of shared memory and ignores the error",
                Absent("a CPU has no shared memory to request"),
                Refusal("launch", "of shared memory"),
            ),
        ),
    ),
    Group(
        "Build, and process that loads it",
        (
            both(
                "records_another_configuration", "records another configuration", "identity", "its own record says 999"
            ),
            both("records_nothing", "records no configuration", "identity", "found none"),
            Case(
                "calls_the_baseline",
                "calls the baseline",
                Refusal("identity", f"{FOREIGN} aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu"),
                Refusal("build", "Unresolved extern function"),
            ),
            Case(
                "calls_python",
                "stops Python's clock when it is loaded",
                Refusal("identity", f"{FOREIGN} PyRun_SimpleString"),
                NO_HOST_CODE,
            ),
            Case(
                "looks_symbols_up",
                "finds the baseline by its symbol name",
                Refusal("identity", f"{FOREIGN} dlsym"),
                NO_HOST_CODE,
            ),
            Case(
                "leaves_a_thread",
                "delegates its work to a thread that outlives the call",
                Refusal("identity", f"{FOREIGN} pthread_create"),
                NO_HOST_CODE,
            ),
        ),
    ),
    Group(
        "Time",
        (
            Case(
                "faster_than_the_roofline",
                "does nothing when a call repeats the arguments of the previous call",
                Refusal("plausibility", "cannot take less than the roofline's"),
                Refusal("plausibility", "cannot take less than the roofline's"),
                workload="medium",
                cuda_workload="8x32x512x64",
            ),
        ),
    ),
)
CASES = tuple(case for group in GROUPS for case in group.cases)
