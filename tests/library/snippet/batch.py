from pathlib import Path

from imeiflow import BatchIMEIProcessor


def show_progress(processed, total, result):
    percent = (processed / total) * 100
    print(
        f"Progress: {processed}/{total} ({percent:.1f}%) - Success: {result['successful']}, Errors: {result['errors']}"
    )


imeis = Path("imeis.txt").read_text().split()

processor = BatchIMEIProcessor(max_workers=30, chunk_size=100, rate_limit_delay=0.05)
result = processor.process_batch(imeis=imeis, service_id="1", progress_callback=show_progress)

print(
    f"Processed {result['total']} IMEIs in {result['processing_time']:.1f}s: "
    f"{result['successful']} successful, {result['duplicates']} duplicates, {result['errors']} errors"
)
for order in result["orders"][:3]:
    print(order["id"], order["imei"], order["status"])
for error in result["error_details"]:
    print(error["imei"], error["message"])
