"""The table of the adversarial suite: every fault, and the gate and the reason that it must meet.

docs/adversarial.md is this table; `python -m tests.adversarial.page` writes it.
"""

from __future__ import annotations

from .case import Absent, Case, Group, Refusal, both

NO_HOST_CODE = Absent("a cubin holds device code alone")
LAUNCHES_NOTHING = Absent("a CPU variant is called, it launches nothing")
NAN = "are NaN"
ONE_HOT = "one_hot: difference must be"
TOO_WRONG = "error must be <="
ILLEGAL = "illegal memory access"
FOREIGN = "nothing but memory, mathematics and OpenMP of other libraries, it uses"
OUTSIDE = "nothing outside the buffers may be touched"
AS_LONG = "must take as long as others"
NOT_MET = "on inputs not met before"
SHARED_BUFFERS = "with another input at the same addresses in between"

GROUPS = (
    Group(
        "What is written",
        (
            both("writes_nothing", "returns at once", "memory", NAN),
            both("writes_nan", "writes NaN everywhere", "memory", NAN),
            both("one_infinity", "is right but for one infinity", "memory", "1 are infinite"),
        ),
    ),
    Group(
        "No attention at all",
        (
            both("copies_v", "copies V", "structure", ONE_HOT),
            both("mean_of_v", "returns the mean of V, whatever Q and K say", "structure", ONE_HOT),
            both("constant", "returns a constant", "structure", ONE_HOT),
        ),
    ),
    Group(
        "Indexing",
        (
            both("k_and_v_swapped", "takes V for K and K for V", "structure", ONE_HOT),
            both("q_read_as_k", "reads Q where K is meant", "structure", ONE_HOT),
            both("heads_permuted", "takes K and V of the next head", "structure", ONE_HOT),
            both("first_head_for_all", "takes K and V of head 0 for all heads", "structure", ONE_HOT),
            Case(
                "wrong_batch_stride",
                "steps from one head's keys to the next by the number of queries",
                Refusal("tails", TOO_WRONG),
                Refusal("memory", ILLEGAL),
            ),
            both("last_tile_dropped", "leaves out the last tile of keys", "structure", ONE_HOT),
            both("last_key_dropped", "leaves out the last key", "structure", ONE_HOT),
            both("first_key_twice", "counts the first key twice", "structure", "uniform_scores: difference must be"),
        ),
    ),
    Group(
        "Softmax and mask",
        (
            both("not_rescaled", "leaves the output when the maximum moves", "structure", ONE_HOT),
            both("no_maximum", "subtracts no maximum", "structure", "got nan"),
            Case(
                "maximum_of_another_row",
                "subtracts another row's maximum",
                Refusal("numerics", "got nan"),
                Refusal("structure", "got nan"),
            ),
            both("causal_always", "applies the causal mask unasked", "structure", ONE_HOT),
            both("causal_never", "does not apply the causal mask when asked", "tails", TOO_WRONG),
            both("causal_off_by_one", "lets every query see one key too many", "tails", TOO_WRONG),
            both("scale_times_ln_2", "has a scale that is off by ln 2", "numerics", TOO_WRONG),
            both("scale_times_sqrt_2", "has a scale that is off by the root of 2", "numerics", TOO_WRONG),
        ),
    ),
    Group(
        "Precision",
        (
            both("weights_in_8_bits", "rounds the weights to 8 bits", "numerics", TOO_WRONG),
            both("fp16_accumulators", "sums the output in FP16", "structure", "constant_value: difference must be"),
            both("v_of_the_previous_stage", "meets, in one row, the previous stage's V", "structure", ONE_HOT),
        ),
    ),
    Group(
        "Order and state",
        (
            Case(
                "race",
                "has no barrier around the tiles in shared memory",
                Absent("threads of a CPU share no tile; `wrong_once_in_50` stands for it"),
                # Where a race shows is luck; at the latest the random inputs of numerics show it.
                Refusal("numerics", "max error must be", sooner=("memory", "structure")),
            ),
            both("wrong_once_in_50", "is wrong in one of 50 launches", "repeatability", "must give the same bits"),
            both("counter_not_reset", "does not set its work counter back: right once", "memory", NAN),
            both("last_worker_skips_its_tail", "leaves what its workers cannot share evenly", "memory", NAN),
        ),
    ),
    Group(
        "Never ends, or ends too much",
        (
            both("deadlock", "has a producer and a consumer that wait for each other", "launch", "hung"),
            both("endless_loop", "never ends", "launch", "hung"),
            Case("crash", "writes to address 8", Refusal("launch", "SIGSEGV"), Refusal("launch", ILLEGAL)),
            both("workspace_of_a_petabyte", "asks for more scratch memory than there is", "launch", "a workspace of"),
            Case(
                "allocates_an_exabyte",
                "allocates more memory than there is",
                Refusal("launch", "bad_alloc"),
                Refusal("launch", ILLEGAL),
            ),
            Case(
                "exits",
                "ends its process, or its threads, with success and no result",
                Refusal("launch", "exit code 0 without an answer"),
                Refusal("memory", NAN),
            ),
            Case(
                "result_of_an_earlier_trial",
                "reads the result that an earlier trial left in a file",
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
        "Keeps results, or is right for some inputs only",
        (
            both("keeps_by_address", "keeps results by the address of Q", "repeatability", SHARED_BUFFERS),
            both("keeps_by_content", "keeps results by the content of all inputs", "timing", AS_LONG),
            Case(
                "keeps_by_fingerprint",
                "keeps results by 16 bytes of each input",
                Refusal("timing", NOT_MET),
                Refusal("timing", ""),
            ),
            both("skips_a_written_output", "does nothing where an output is", "repeatability", SHARED_BUFFERS),
            both("works_once", "works once and then does nothing", "memory", NAN),
            both("right_ten_times", "is right ten times and then corrupt", "numerics", TOO_WRONG),
            Case(
                "idle_when_timed",
                "does nothing once the gates are passed",
                Refusal("timing", "other bits than the one checked"),
                Refusal("timing", ""),
            ),
            both("right_for_one_input", "is right for the inputs of one seed only", "numerics", TOO_WRONG),
            both("right_at_one_shape", "is right at the workload's shape only", "tails", TOO_WRONG),
            both("wrong_on_new_seeds", "is wrong on inputs that no trial has met", "confirm", "numerics: "),
        ),
    ),
    Group(
        "How it is launched",
        (
            Case(
                "more_kernels",
                "launches a second kernel, on a stream of its own",
                LAUNCHES_NOTHING,
                Refusal("build", "requires separate compilation mode"),
            ),
            Case(
                "first_node_works_for_all",
                "leaves all of a graph's work to its first node",
                Absent("a CPU has no graphs; `faster_than_the_roofline` is its like"),
                Refusal("timing", "on the same buffers as the one before"),
            ),
            Case(
                "shared_memory_over_the_limit",
                "asks for 1 MiB of shared memory and ignores the error",
                Absent("a CPU has no shared memory to ask for"),
                Refusal("launch", "of shared memory"),
            ),
        ),
    ),
    Group(
        "What was built, and what it is loaded into",
        (
            both("records_another_configuration", "was built as something else", "identity", "its own record says 999"),
            both("records_nothing", "does not say how it was built", "identity", "found none"),
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
                "looks the baseline up by name",
                Refusal("identity", f"{FOREIGN} dlsym"),
                NO_HOST_CODE,
            ),
            Case(
                "leaves_a_thread",
                "leaves its work to a thread that outlives the call",
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
                "does nothing when it is called again with what it was called with before",
                Refusal("plausibility", "cannot take less than the roofline's"),
                Refusal("plausibility", "cannot take less than the roofline's"),
                workload="medium",
                cuda_workload="8x32x512x64",
            ),
        ),
    ),
)
CASES = tuple(case for group in GROUPS for case in group.cases)
