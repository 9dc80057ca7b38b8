"""Calls hosters, or a gateway, with tritonclient as anybody would, and compares what comes with what must."""

import sys

import over_docs  # noqa: F401
import over_grpc  # noqa: F401
import over_http  # noqa: F401
from checking import run_checks


if __name__ == "__main__":
    sys.exit(run_checks())
