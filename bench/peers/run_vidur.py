"""Run Vidur on the requests given as JSON on stdin; prints what it took. Runs in Vidur's own environment and checkout.

python run_vidur.py CHECKOUT ATTENTION_TABLE < requests.json
"""

import atexit
import json
import os
import sys
import tempfile
import time

CHECKOUT, TABLE = sys.argv[1:]
sys.path.insert(0, CHECKOUT)
os.environ["WANDB_MODE"] = "disabled"
os.chdir(CHECKOUT)

from vidur.config import (  # noqa: E402
    ClusterConfig,
    LinearRegressionExecutionTimePredictorConfig,
    MetricsConfig,
    ReplicaConfig,
    SarathiSchedulerConfig,
    SimulationConfig,
    TraceRequestGeneratorConfig,
)
from vidur.simulator import Simulator  # noqa: E402

TOKENS, SEQUENCES, LONGEST = 2048, 256, 2048

with tempfile.TemporaryDirectory() as folder:
    trace = os.path.join(folder, "trace.csv")
    with open(trace, "w") as file:
        file.write("arrived_at,num_prefill_tokens,num_decode_tokens\n")
        file.writelines(f"{arrival_s!r},{isl},{osl}\n" for arrival_s, isl, osl in json.load(sys.stdin))
    config = SimulationConfig(
        log_level="error",
        cluster_config=ClusterConfig(
            replica_config=ReplicaConfig(model_name="meta-llama/Meta-Llama-3-8B", device="a100"),
            replica_scheduler_config=SarathiSchedulerConfig(batch_size_cap=SEQUENCES, chunk_size=TOKENS),
        ),
        request_generator_config=TraceRequestGeneratorConfig(trace_file=trace),
        execution_time_predictor_config=LinearRegressionExecutionTimePredictorConfig(
            attention_input_file=TABLE,
            prediction_max_prefill_chunk_size=TOKENS,
            prediction_max_batch_size=SEQUENCES,
            prediction_max_tokens_per_request=LONGEST,
            num_training_job_threads=1,
        ),
        metrics_config=MetricsConfig(
            write_metrics=False, enable_chrome_trace=False, store_plots=False, output_dir=folder, cache_dir=folder
        ),
    )
    simulator = Simulator(config)
    atexit.unregister(simulator._write_output)
    requests = [event._request for _, event in simulator._event_queue]
    start = time.perf_counter()
    simulator.run()
    wall_s = time.perf_counter() - start

done = [each for each in requests if each.completed]
print(
    json.dumps(
        {
            "requests": len(done),
            "wall_s": wall_s,
            "mean_ttft_s": sum(each.prefill_completed_at - each.arrived_at for each in done) / len(done),
            "mean_e2e_s": sum(each.e2e_time for each in done) / len(done),
        }
    )
)
