# SPDX-License-Identifier: MIT
# cmake -DPROGRAM= -DFOLDER= -DSEEDS= -DSECONDS= -P smoke.cmake: one short run of a libFuzzer program over its seeds.
file(MAKE_DIRECTORY ${FOLDER} ${FOLDER}/found)
foreach(seed ${SEEDS})
  file(COPY ${seed} DESTINATION ${FOLDER})
endforeach()
execute_process(COMMAND ${PROGRAM} -max_total_time=${SECONDS} -seed=1 -timeout=60 -rss_limit_mb=2048 -max_len=65536
  -print_final_stats=1 ${FOLDER}/found ${FOLDER} WORKING_DIRECTORY ${FOLDER} RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM}: ended with ${result}; the input that did it is in ${FOLDER}")
endif()
