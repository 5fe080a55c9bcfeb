"""Faults of the CUDA attention kernel, and the stage that each is in."""

from __future__ import annotations

from tests.support.faults import Fault

FEATURES, ONE_TILE, SUM, MAXIMUM, EXPONENT, RESCALE, VALUES, CRASH = range(1, 9)
MASKED = "    if (first_key + step_n > rows.unmasked_keys)"
EXPONENTIATED = (
    "                const float scaled_maximum = finite_maximum(statistics.maximum[m][i / 2]) * scale_log2;"
)
RESCALED = "            for (int n = 0; n < value_fragments; ++n) O_reg[m][n][i] *= factors[m][i / 2];"
RECORDED = "    statistics.complete_sums();\n"
FAULTS = (
    # The last 16 features of a product are left out.
    Fault(
        FEATURES,
        "sm80/softmax.cuh",
        "    for (int depth = 0; depth < depth_steps; ++depth) {",
        "    for (int depth = 0; depth < depth_steps - 1; ++depth) {",
    ),
    # Scores of the second tile of keys with the first tile of queries.
    Fault(
        ONE_TILE,
        "sm80/sm80.cu",
        MASKED,
        "    if (first_key / tile_n == 1 && rows.lane_row < tile_m)\n"
        "        for (int m = 0; m < row_fragments; ++m)\n"
        "            for (int n = 0; n < key_fragments; ++n)\n"
        f"                for (int i = 0; i < 4; ++i) S_reg[m][n][i] += 16.0f;\n{MASKED}",
    ),
    Fault(
        SUM,
        "sm80/softmax.cuh",
        "            statistics.sums[m][i] *= factors[m][i / 2];",
        "            statistics.sums[m][i] *= 1.0f;",
    ),
    # Takes the maximum of the row 8 further up.
    Fault(MAXIMUM, "sm80/softmax.cuh", EXPONENTIATED, EXPONENTIATED.replace("[i / 2]", "[0]")),
    Fault(
        EXPONENT,
        "sm80/softmax.cuh",
        "                const float exponent = fmaf(S_reg[m][n][i], scale_log2, -scaled_maximum);",
        "                const float exponent = fmaf(S_reg[m][n][i], scale_log2, -scaled_maximum) * 1.01f;",
    ),
    Fault(RESCALE, "sm80/softmax.cuh", RESCALED, RESCALED.replace("factors[m][i / 2]", "1.0f")),
    # The first 16 keys' values for all keys of a step.
    Fault(
        VALUES,
        "sm80/softmax.cuh",
        "            ldmatrix_transposed(V_reg, offsets.address(V_smem, n / 2, first_row + k * 8));",
        "            ldmatrix_transposed(V_reg, offsets.address(V_smem, n / 2, first_row));",
    ),
    Fault(CRASH, "sm80/sm80.cu", RECORDED, f"if (written_stage == WrittenStage::softmax) __trap();\n{RECORDED}"),
)
AT_FAULT = {
    **dict.fromkeys((FEATURES, ONE_TILE), "scores"),
    **dict.fromkeys((SUM, MAXIMUM, EXPONENT), "softmax"),
    **dict.fromkeys((RESCALE, VALUES), "output"),
}
RECORD = (
    "sm80/configuration.cuh",
    '";HEAD_DIM=" EVOTUNE_VALUE(HEAD_DIM)',
    '";FAULT=" EVOTUNE_VALUE(FAULT) ";HEAD_DIM=" EVOTUNE_VALUE(HEAD_DIM)',
)
