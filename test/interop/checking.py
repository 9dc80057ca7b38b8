"""Checks of a subnet by a package as it is published: each is a function, told of by its name."""

import traceback
import urllib.request

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def metric(admin, name):
    """What a service says of itself, over all labels."""
    with urllib.request.urlopen(f"http://{admin}/metrics") as response:
        lines = response.read().decode().splitlines()
    mine = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in mine)


def run_checks():
    """Prints what became of each; 1 where any failed, else 0."""
    failed = 0
    # What kills a hoster comes last.
    for function in sorted(CHECKS, key=lambda one: "survive" in one.__name__):
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}")
        except Exception:
            failed += 1
            print(f"FAILED  {name}")
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0
