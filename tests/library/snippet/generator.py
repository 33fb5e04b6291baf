import json
from pathlib import Path

from imeiflow import BatchIMEIProcessor

imeis = Path("imeis.txt").read_text().split()

processor = BatchIMEIProcessor()
for progress in processor.process_with_progress(imeis, "1"):
    print(f"data: {json.dumps(progress)}\n")
