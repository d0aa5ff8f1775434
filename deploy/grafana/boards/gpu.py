"""GPUs: what Jenner offers and uses beside what NVIDIA's exporter sees on the hosts. Never run."""

from boards.parts import board, filled, lines, note, number, variable

H = 'Hostname=~"$host"'
NAME = "{{Hostname}} {{gpu}}"


def make():
    empty = (board("gpu", "Jenner: GPUs", "GPUs of the workers; needs dcgm-exporter on their hosts. Never run.")
             .with_variable(variable("host", "Host", "label_values(DCGM_FI_DEV_GPU_UTIL, Hostname)")))
    return filled(empty, *panels())


def panels():
    return (
        note("**Never run** beside dcgm-exporter; names are those of dcgm-exporter's default counters. The coordinator does not "
             "tell which rank has which GPU, so hosts and experiments cannot be joined: only sums are side by side.",
             height=3),
        number("Offered", "GPUs of live workers.", "none", ('sum(jenner_gpus{job=~"$job"})', "GPUs"), span=6),
        number("Used by ranks", "GPUs that ranks hold.", "none",
               ('sum(jenner_gpus{job=~"$job", state="used"})', "GPUs"), span=6),
        number("Seen on the hosts", "By the exporter; more than offered: some are kept from Jenner.", "none",
               (f"count(DCGM_FI_DEV_GPU_UTIL{{{H}}})", "GPUs"), span=6),
        number("Held, yet idle", "Held by ranks minus those busier than 5 % in the last ten minutes. Other users of the hosts "
               "make it too small.", "none",
               ('sum(jenner_gpus{job=~"$job", state="used"})'
                f" - (count(avg_over_time(DCGM_FI_DEV_GPU_UTIL{{{H}}}[10m]) > 5) or vector(0))", "GPUs"), span=6, red_from=1),
        lines("Utilisation", "Share of time in which a kernel ran.", "percent",
              (f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{{{H}}})", NAME)),
        lines("Memory", "Used, of all there is.", "percentunit",
              (f"max by (Hostname, gpu) (DCGM_FI_DEV_FB_USED{{{H}}} / (DCGM_FI_DEV_FB_USED{{{H}}}"
               f" + DCGM_FI_DEV_FB_FREE{{{H}}}))", NAME)),
        lines("Power", "Drawn now.", "watt", (f"max by (Hostname, gpu) (DCGM_FI_DEV_POWER_USAGE{{{H}}})", NAME), span=8),
        lines("Temperature", "Of the GPU.", "celsius", (f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP{{{H}}})", NAME), span=8),
        lines("Last XID error", "Number of the driver's last fault; 0: none.", "none",
              (f"max by (Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS{{{H}}})", NAME), span=8),
    )
