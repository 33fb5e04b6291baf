from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imeiflow import GSMFusionClient

imeis = Path("imeis.txt").read_text().split()


def submit(imei):
    client = GSMFusionClient()
    try:
        return client.place_imei_order(imei=imei, network_id="1")
    finally:
        client.close()


with ThreadPoolExecutor(max_workers=10) as executor:
    results = list(executor.map(submit, imeis))

print(f"{sum(len(result['orders']) for result in results)} successful")
print(f"{sum(len(result['errors']) for result in results)} errors")
