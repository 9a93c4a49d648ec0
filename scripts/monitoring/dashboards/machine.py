"""Machine: what it costs, and whether it is near its limits."""

from scripts.monitoring.panels import Dashboard, Row, heat, lines, number
from scripts.monitoring.promql import added, buckets, highest, of, quantile, rate

DASHBOARD = Dashboard(
    uid="bbqrec-machine",
    title="bbqrec machine",
    what="CPU, memory, event loop, batches, workers, what computes.",
    rows=(
        Row(
            "What serves",
            (
                number(
                    "Workers",
                    "Processes that serve, of each replica.",
                    "none",
                    added("bbqrec_workers"),
                    "{{instance}}",
                ),
                number(
                    "Computes user vectors",
                    "onnx-cuda and torch-cuda are a GPU. GPU load and memory are not measured here:"
                    " NVIDIA's dcgm-exporter does it.",
                    "none",
                    f"{highest('bbqrec_provider_info', by='provider')} == 1",
                    "{{provider}}",
                ),
                number(
                    "Was asked for",
                    "The setting BBQREC_PROVIDER. BbqrecGpuMissing fires where it is a GPU and"
                    " another computes.",
                    "none",
                    highest("bbqrec_provider_asked_info", by="provider"),
                    "{{provider}}",
                ),
                number(
                    "Searches",
                    "How items are searched: exact, or compressed for a large catalogue.",
                    "none",
                    f"{highest('bbqrec_retriever_info', by='retriever')} == 1",
                    "{{retriever}}",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                lines(
                    "CPU",
                    "Cores in use, of all workers of a replica.",
                    "none",
                    (rate("process_cpu_seconds_total", by="instance"), "{{instance}}"),
                ),
                lines(
                    "Memory",
                    "Resident, of all workers of a replica; pages of the bundle that they share are"
                    " counted in each.",
                    "bytes",
                    (added("process_resident_memory_bytes"), "{{instance}}"),
                ),
                lines(
                    "Open files",
                    "Connections and files, as a share of what the system allows.",
                    "percentunit",
                    (
                        f"{added('process_open_fds')} / {added('process_max_fds')}",
                        "{{instance}}",
                    ),
                ),
            ),
        ),
        Row(
            "Event loop and queue",
            (
                lines(
                    "Event loop lag",
                    "How late it does what is due, looked at four times a second: beyond 100 ms all"
                    " requests feel it.",
                    "s",
                    *(
                        (quantile(q, "bbqrec_loop_lag_seconds"), f"p{q * 100:g}")
                        for q in (0.5, 0.99)
                    ),
                ),
                lines(
                    "In flight",
                    "Requests being answered, a scrape too; and histories that wait for a batch.",
                    "none",
                    (added("bbqrec_requests_in_flight"), "{{instance}} in flight"),
                    (added("bbqrec_queue_depth"), "{{instance}} waiting"),
                ),
                lines(
                    "Of what is let in",
                    "Most in flight at once, as a share of the bound by BBQREC_MAX_WAIT: at 100%"
                    " the next is refused. BbqrecQueueFull fires at 80%.",
                    "percentunit",
                    (highest("bbqrec_admission_used"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Batches",
            (
                lines(
                    "Batch size",
                    "Histories computed together: they grow by themselves under load.",
                    "none",
                    *(
                        (quantile(q, "bbqrec_batch_size"), f"p{q * 100:g}")
                        for q in (0.5, 0.9, 0.99)
                    ),
                ),
                heat(
                    "Batch size, all",
                    "Batches a second, by size.",
                    "none",
                    buckets("bbqrec_batch_size"),
                ),
                lines(
                    "Batches",
                    "A second.",
                    "ops",
                    (rate("bbqrec_batch_size_count", by="instance"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            "Since",
            (
                number(
                    "Up for",
                    "Since the first of its processes started.",
                    "s",
                    f"time() - min by (instance) ({of('process_start_time_seconds')})",
                    "{{instance}}",
                    width=24,
                ),
            ),
        ),
    ),
)
