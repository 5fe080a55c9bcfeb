// The values of -DFAULT, in the order of docs/adversarial.md; `none` is a correct kernel.

#pragma once

enum class Fault {
    none,
    // Output
    writes_nothing, writes_nan, one_infinity,
    // No attention at all
    copies_v, mean_of_v, constant,
    // Indexing
    k_and_v_swapped, q_read_as_k, heads_permuted, first_head_for_all, wrong_batch_stride,
    last_tile_dropped, last_key_dropped, first_key_twice,
    // Softmax and mask
    not_rescaled, no_maximum, maximum_of_another_row,
    causal_always, causal_never, causal_off_by_one, scale_times_ln_2, scale_times_sqrt_2,
    // Precision
    weights_in_8_bits, fp16_accumulators, v_of_the_previous_stage,
    // Order and state
    race, wrong_once_in_50, counter_not_reset, last_worker_skips_its_tail,
    // Hangs, crashes or exits
    deadlock, endless_loop, crash, workspace_of_a_petabyte, allocates_an_exabyte, exits, result_of_an_earlier_trial,
    // Memory
    writes_past_the_output, reads_past_k, overwrites_q, other_strides,
    // Caches results, or is right for some inputs only
    keeps_by_address, keeps_by_content, keeps_by_fingerprint, skips_a_written_output, works_once, right_ten_times,
    idle_when_timed, right_for_one_input, right_at_one_shape, wrong_on_new_seeds,
    // Tells timed calls from others
    idle_but_for_the_last, idle_in_the_first_third, keeps_heads_computes_one,
    // Launch
    more_kernels, first_node_works_for_all, shared_memory_over_the_limit,
    // Build, and process that loads it
    ignores_its_configuration, records_another_configuration, records_nothing, calls_the_baseline, calls_python,
    looks_symbols_up, leaves_a_thread, exports_the_clock,
    // Time
    faster_than_the_roofline,
};

constexpr Fault fault = Fault::FAULT;
