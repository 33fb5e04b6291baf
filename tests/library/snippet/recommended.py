from pathlib import Path

from imeiflow import BatchIMEIProcessor, get_recommended_settings

imeis = Path("imeis.txt").read_text().split()

settings = get_recommended_settings(len(imeis))
print(f"Workers: {settings['max_workers']}")
print(f"Chunk size: {settings['chunk_size']}")
print(f"Strategy: {settings['strategy']}")
print(f"Estimated time: {settings['estimated_time'] / 60:.1f} minutes")

processor = BatchIMEIProcessor(
    max_workers=settings["max_workers"],
    chunk_size=settings["chunk_size"],
    rate_limit_delay=settings["rate_limit_delay"],
)
result = processor.process_batch(imeis, service_id="1")
print(f"{result['successful']} of {result['total']} ordered")
