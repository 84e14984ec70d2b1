"""What a recorded job has used of its model, by role, as its server billed it: python -m bench.tokens TAPE

A tape is written by `boardroom tape JOB`.
"""

import sys
from collections import Counter
from pathlib import Path

from workers.llm.model import Tokens
from workers.llm.tape import Said, read_tape


def main() -> None:
    said = [line for line in read_tape(Path(sys.argv[1])) if isinstance(line, Said)]
    requests = Counter(line.agent for line in said)
    print("| role | requests | input | output |\n| --- | --- | --- | --- |")
    for role in (*requests, "all"):
        bills = [line.tokens or Tokens() for line in said if role in (line.agent, "all")]
        sent, answered = sum(bill.input for bill in bills), sum(bill.output for bill in bills)
        print(f"| {role} | {len(bills)} | {sent:,} | {answered:,} |")


if __name__ == "__main__":
    main()
