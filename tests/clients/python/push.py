# SPDX-License-Identifier: Apache-2.0
"""A program that profiles itself as Python's programs do with Pyroscope's SDK. The address of the server is the argument."""
import sys
import time

import pyroscope


def burn_in_python(seconds):
    end = time.monotonic() + seconds
    total = 0
    while time.monotonic() < end:
        for i in range(10000):
            total += i * i
    return total


pyroscope.configure(application_name="python-sdk", server_address=sys.argv[1], sample_rate=100, tags={"region": "eu"})
burn_in_python(12)
pyroscope.shutdown()
