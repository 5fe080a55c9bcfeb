// The binary's record of its configuration: true, false or missing.

#pragma once

#include "faults.h"

#define STRING(value) #value
#define TEXT(macro) STRING(macro)
#define RECORDED(macro) #macro "=" TEXT(macro) ";"
#define RECORD_WITH(tile_n) "evotune-configuration:" RECORDED(FAULT) RECORDED(TILE_M) tile_n RECORDED(HEAD_DIM)

struct Record {
    char text[1024];
};

constexpr Record recorded() {
    const char* text = fault == Fault::records_nothing                 ? ""
                       : fault == Fault::records_another_configuration ? RECORD_WITH("TILE_N=999;")
                                                                       : RECORD_WITH(RECORDED(TILE_N));
    Record record = {};
    for (int i = 0; text[i] != 0; ++i) record.text[i] = text[i];
    return record;
}
